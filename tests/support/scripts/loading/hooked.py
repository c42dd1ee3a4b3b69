"""Its hook never ends."""

from __future__ import annotations

import time

FOREVER = 600.0


def on_init(app: object) -> None:
    time.sleep(FOREVER)


def hooked() -> int:
    return 1
