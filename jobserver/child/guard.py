"""The process between the server and the child that runs scripts: it leaves no process behind.

Every child is started through a guard. The guard adopts whatever the child's descendants orphan,
so when the child ends, or the server does, or the server says so, it can end all of them. It runs
no user code and imports nothing heavy. The server holds the other end of the guard's standard
input: its closing, by intent or by the server's death, is the order to end everything.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Callable

from jobserver.system.process_tree import adopt_orphans, end_descendants, end_with, kill

_LIFE, _NEWS = 0, 1


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
                kill(child)
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
