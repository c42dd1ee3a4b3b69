"""What of this process a fork could not have for itself: its threads, pipes and shared memory."""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path

_OWN = Path("/proc/self/task")
_FILES, _MAPPINGS = Path("/proc/self/fd"), Path("/proc/self/maps")


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


def shared_with_forks() -> int:
    """How many pipes, sockets and writable shared mappings this process has, where it is known."""
    if sys.platform != "linux":
        return 0
    found = sum(line.split()[1] == b"rw-s" for line in _MAPPINGS.read_bytes().splitlines())
    for fd in map(int, os.listdir(_FILES)):  # noqa: PTH208 - numbers, not paths
        with suppress(OSError):  # of the listing itself
            mode = os.fstat(fd).st_mode
            found += stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return found
