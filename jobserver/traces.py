"""What a script may leave behind in its process that would disturb the next one.

A child in which any of it changed is replaced. Checked is what costs next to nothing to look at and
what libraries and careless scripts change; a script that means harm can do more.
"""

from __future__ import annotations

import builtins
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
_CLOCKS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_OWN_LIMITS, _OWN_STATUS = Path("/proc/self/limits"), Path("/proc/self/status")
#: Lines of the latter that stay the same: whose process it is, its signals, its cores.
_KEPT = (b"Uid", b"Gid", b"Groups", b"SigBlk", b"SigIgn", b"SigCgt", b"CapEff", b"Cpus_allowed")
#: Whose handlers are Python's, or are changed most.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM)
#: Files that a run may leave open, of 1024: libraries keep some.
_FEW_FILES = 32


class Traces:
    """The process as it is now, to be compared with how it is later."""

    def __init__(self) -> None:
        self._files = _open_files()
        self._rest = list(_looked_at())

    def left_by(self, before: Traces) -> bool:
        """Whether something stayed that a script changed since."""
        return self._rest != before._rest or self._files > before._files + _FEW_FILES


def told(file: Path) -> bytes:
    """What Linux tells of this process in one look; nothing where it does not."""
    try:
        return file.read_bytes()
    except OSError:  # another system, or a process that changed its user
        return b""


def _looked_at() -> Iterator[object]:
    umask = os.umask(0o022)
    os.umask(umask)
    yield umask
    yield [signal.getitimer(clock) for clock in _CLOCKS]
    yield told(_OWN_LIMITS) or [resource.getrlimit(kind) for kind in _LIMITS]
    yield [line for line in told(_OWN_STATUS).splitlines() if line.startswith(_KEPT)]
    yield [signal.getsignal(number) for number in _SIGNALS]
    yield os.getpriority(os.PRIO_PROCESS, 0), os.geteuid(), signal.pthread_sigmask(0, ())
    yield _standard_input()
    yield sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()
    yield sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()
    yield logging.root.manager.disable, sys.excepthook, sys.displayhook
    yield {name: id(value) for name, value in vars(builtins).items() if name != "_"}


def _standard_input() -> object:
    try:
        found = os.fstat(0)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open_files() -> int:
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    return len(os.listdir(folder))  # noqa: PTH208 - a number is all that is wanted
