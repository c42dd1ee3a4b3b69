"""It waits for a file; tests edit the answer meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

ANSWER = 1


def lasting() -> int:
    print("begun")
    while not Path(__file__).with_name("gate").exists():
        time.sleep(0.01)
    return ANSWER
