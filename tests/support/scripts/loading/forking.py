"""It forks when it is imported, and both go on."""

from __future__ import annotations

import os

os.fork()


def forking() -> int:
    return 1
