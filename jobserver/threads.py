"""How many threads this process has: a fork is safe with one."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

_OWN = Path("/proc/self/task")


def threads() -> int:
    """How many threads this process has, those of C libraries too where the system tells."""
    if sys.platform != "linux":
        return threading.active_count()
    return len(os.listdir(_OWN))  # noqa: PTH208 - a number is all that is wanted


def end_idle_threads() -> None:
    """Have libraries such as OpenBLAS end their idle threads, as they do before every fork."""
    if sys.platform == "linux" and threads() > 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
