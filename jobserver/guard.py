"""The process between the server and the child that runs scripts: it leaves no process behind.

Every child is started through a guard. The guard adopts whatever the child's descendants orphan,
so when the child ends, or the server does, or the server says so, it can end all of them. It runs
no user code and imports nothing heavy. The server holds the other end of the guard's standard
input: its closing, by intent or by the server's death, is the order to end everything.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIFE, _NEWS = 0, 1
_LOOK_SECONDS = 0.005


def guarded(work: Callable[[], None]) -> None:
    """Run ``work`` in a child of this process and watch over it; never returns.

    The exit status of the child is written to standard output as a line with a signed number: the
    exit code, or the number of the signal that ended it, negative.
    """
    os.setsid()
    adopt_orphans()
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become_child(guard, (wakeup, woken))
        work()
        os._exit(0)
    status = _wait(child, wakeup)
    end_descendants()
    with contextlib.suppress(BrokenPipeError):  # the server is gone, or did not wait
        os.write(_NEWS, b"%d\n" % status)
    os._exit(0)


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


def _become_child(guard: int, inherited: tuple[int, ...]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    end_with(guard)
    os.setpgid(0, 0)
    for fd in inherited:
        os.close(fd)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, _LIFE)
    os.dup2(nothing, _NEWS)
    os.close(nothing)


def _wait(child: int, wakeup: int) -> int:
    """The child's exit status, once it ended or had to."""
    with selectors.DefaultSelector() as selector:
        selector.register(_LIFE, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wakeup in ready:
                os.read(wakeup, 4096)
            if _LIFE in ready:
                _kill(child)
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)


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
            _kill(pid, signal.SIGTERM)
    while (found := _below(spared)) and time.monotonic() < due:
        for pid in found:
            _reap(pid, os.WNOHANG)
        time.sleep(_LOOK_SECONDS)
    while found := _below(spared):
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                _kill(pid, order)
        for pid in found:
            _reap(pid)


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


def _reap(pid: int, options: int = 0) -> None:
    try:
        os.waitpid(pid, options)
    except ChildProcessError:
        return


def _kill(pid: int, order: int = signal.SIGKILL) -> None:
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
