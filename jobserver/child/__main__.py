"""The process that runs scripts: ``python -m jobserver.child``, started and owned by a server.

It has no access to the database and to secrets; see `jobserver.child.warm` for its parts.

It starts as a guard, with the child below it. The guard adopts the processes that the child's
descendants orphan, so it can end all of them when the child or the server ends, or the server
orders it. It runs no user code. The server holds the other end of the guard's standard input; when
that closes, on purpose or by the server's death, the guard ends everything.

Where a fork is safe, all guards of a server are forks of one process, the preloader. It has pandas
and the shipped scripts imported, which so takes time and memory only once.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import NoReturn, cast

from jobserver.system.process_tree import CUT_OFF, adopt_orphans, end_descendants, end_with, kill

_LIFE, _NEWS = 0, 1


def main() -> None:
    """Start a guard and the child below it, or a preloader, on the channel with this descriptor."""
    channel = int(sys.argv[1])
    if "preload" in sys.argv[2:]:
        _preload(socket.socket(fileno=channel))
    _guard(partial(_serve, channel))


def _preload(server: socket.socket) -> NoReturn:
    """Import what all children need, and fork the guards that the server orders, until it is gone.

    Each order brings the channel of a child, and the standard input and output of its guard.
    """
    from jobserver.child.warm import preload

    preload()
    # Those of NumPy's libraries, which are prepared for forks.
    warnings.filterwarnings("ignore", ".* is multi-threaded", DeprecationWarning, "__main__")
    adopt_orphans()
    wakeup, woken = _wake_at_ends()
    guards: set[int] = set()
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if wakeup in ready:
                os.read(wakeup, 4096)
                _clear_up(guards)
            if server.fileno() not in ready:
                continue
            order, files, *_ = socket.recv_fds(server, 1, 3)
            if not order:
                end_descendants()
                os._exit(0)
            guards.add(_fork_guard(files, (server.fileno(), wakeup, woken, selector.fileno())))


def _fork_guard(files: list[int], inherited: tuple[int, ...]) -> int:
    """Fork a guard, which reports its process id first; return that."""
    channel, life, news = files
    preloader = os.getpid()
    guard = os.fork()
    if guard == 0:
        end_with(preloader)
        os.setsid()
        os.dup2(life, _LIFE)
        os.dup2(news, _NEWS)
        for fd in (life, news, *inherited):
            os.close(fd)
        try:
            os.write(_NEWS, b"%d\n" % os.getpid())
        except BrokenPipeError:  # the server has just ended
            os._exit(CUT_OFF)
        _guard(partial(_serve, channel))
    for fd in files:
        os.close(fd)
    return guard


def _clear_up(guards: set[int]) -> None:
    """Collect guards that ended, and end what one left that was killed."""
    for guard in list(guards):
        if os.waitpid(guard, os.WNOHANG)[0]:
            guards.remove(guard)
    end_descendants(guards)


def _serve(channel: int) -> None:
    """Show a file, or serve as the base process of runs: what the first message says."""
    from jobserver.child.show import show
    from jobserver.child.warm import preload, serve
    from jobserver.system.protocol import ChannelClosed, Setup, receive

    os.set_inheritable(channel, False)
    control = socket.socket(fileno=channel)
    try:
        preload()
        order = receive(control)
        if order.get("op") == "show":
            show(control, order)
        else:
            serve(control, cast("Setup", order))
    except ChannelClosed:
        os._exit(CUT_OFF)


def _guard(work: Callable[[], None]) -> NoReturn:
    """Run ``work`` in a child of this process and guard it; never return.

    Writes the child's exit status to standard output as a line with a number: the exit code, or
    the negative number of the signal that ended it.
    """
    adopt_orphans()
    wakeup, woken = _wake_at_ends()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become_child(guard, (wakeup, woken))
        work()
        os._exit(0)
    status = _wait(child, wakeup)
    end_descendants()
    with contextlib.suppress(BrokenPipeError):  # the server is gone, or does not wait
        os.write(_NEWS, b"%d\n" % status)
    os._exit(0)


def _wake_at_ends() -> tuple[int, int]:
    """Return a pipe that can be read when a process below this one ends."""
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wakeup, woken


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
    """Return the child's exit status once it ended, or was ended by order."""
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


if __name__ == "__main__":
    main()
