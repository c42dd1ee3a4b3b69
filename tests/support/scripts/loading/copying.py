"""It forks when it is imported, and the copy sleeps."""

from __future__ import annotations

import os
import time

FOREVER = 600.0

if os.fork() == 0:
    time.sleep(FOREVER)


def copying() -> int:
    return 1
