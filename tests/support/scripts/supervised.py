"""Scripts for the server's side of a child."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

FOREVER = 600.0

counted = 0


def count() -> list[int]:
    global counted  # noqa: PLW0603 - a second run in the same process would show
    counted += 1
    print("counted")
    return [counted, os.getpid()]


def half(x: float) -> float:
    return x / 2


def vanish() -> None:
    os._exit(3)


def doze() -> None:
    time.sleep(FOREVER)


def wait(name: Any) -> str:
    print(os.getpid(), flush=True)
    while not Path(name).exists():
        time.sleep(0.01)
    return "done"
