"""Processes below this one, and how none of them is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.005


def adopt_orphans() -> None:
    """Become the parent of every process that a descendant leaves behind."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with(parent: int) -> None:
    """Have this process end when its parent does; call it right after the fork.

    Parameters
    ----------
    parent : int
        Number of the process that forked: it may be gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end_descendants(spared: Collection[int] = (), grace: float = 0.0) -> None:
    """End every process below this one.

    Parameters
    ----------
    spared : collection of int
        Children that stay, with all that is below them.
    grace : float
        Seconds that they may take to end by themselves after SIGTERM, such as a tracker of shared
        memory that clears up. Then they are stopped, so that none can fork out of the way, and
        killed.
    """
    due = time.monotonic() + grace
    if grace:
        for pid in _below(spared):
            kill(pid, signal.SIGTERM)
    while (found := _below(spared)) and time.monotonic() < due:
        for pid in found:
            reap(pid, os.WNOHANG)
        time.sleep(_LOOK_SECONDS)
    while found := _below(spared):
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                kill(pid, order)
        for pid in found:
            reap(pid)


def children() -> list[int]:
    """Numbers of the processes that this one is the parent of."""
    if sys.platform != "linux":
        import psutil

        return [process.pid for process in psutil.Process().children()]
    return _children(os.getpid())


def _below(spared: Collection[int]) -> list[int]:
    """Every process below this one but some of its children and what is below these."""
    found: list[int] = []
    for pid in children():
        if pid not in spared:
            found += [pid, *_descendants(pid)]
    return found


def _descendants(root: int) -> list[int]:
    if sys.platform != "linux":
        import psutil

        return [process.pid for process in psutil.Process(root).children(recursive=True)]
    found: list[int] = []
    for pid in _children(root):
        found += [pid, *_descendants(pid)]
    return found


def _children(pid: int) -> list[int]:
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            lists = [Path(thread.path, "children").read_text() for thread in threads]
    except (FileNotFoundError, PermissionError, ProcessLookupError):  # or of another user now
        return []
    return [int(child) for line in lists for child in line.split()]


def reap(pid: int, options: int = 0) -> None:
    """Take note of the end of a child that ended, or wait for it."""
    try:
        os.waitpid(pid, options)
    except ChildProcessError:
        return


def kill(pid: int, order: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, order)
    except ProcessLookupError:
        return


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    if _c_library().prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
