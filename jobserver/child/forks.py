"""A process that forks others: each gets a channel to the server and an output pipe of its own.

It has one thread and does one thing at a time: it forks, passes the channel of the new process to
the server, waits for the process to end, cleans up after it, and reports its end.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from jobserver.system.process_tree import (
    CUT_OFF,
    FILES,
    adopt_orphans,
    end_descendants,
    end_with,
    flush,
    open_files,
)
from jobserver.system.protocol import ChannelClosed, Message, receive, send

#: Seconds that processes left by a run get to end by themselves.
_GRACE_SECONDS = 0.3

_select = select.select  # a script may replace it

Work = Callable[[socket.socket], None]


class ForkServer:
    """The processes that this one forked.

    Parameters
    ----------
    control : socket
        Channel to the server.
    can_fork : bool
        Whether a fork is safe here. If not, this process itself becomes the one to be forked.
    """

    def __init__(self, control: socket.socket, *, can_fork: bool) -> None:
        self._control = control
        self._can_fork = can_fork
        self._pids: set[int] = set()
        self._files = _positions()
        adopt_orphans()
        self._woken, self._wakeup = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakeup, False)
        self._former = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)

    def fork(self, work: Work) -> int:
        """Fork a process for ``work``, report it to the server, and return its id.

        Parameters
        ----------
        work : callable
            Gets the channel of the new process, which ends when it returns.
        """
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
        flush()
        parent = os.getpid()
        pid = os.fork() if self._can_fork else 0
        if pid or not self._can_fork:
            send(self._control, {"op": "forked", "pid": pid or parent}, [ours.fileno(), reader])
            self._pids.add(pid or parent)
        ours.close()
        os.close(reader)
        if pid == 0:
            if self._can_fork:
                end_with(parent)
            self._become(theirs, writer)
            self._run(work, theirs)
        theirs.close()
        os.close(writer)
        return pid

    def end(self, pid: int) -> None:
        """Kill a process that was forked here, unless it ended already."""
        if pid in self._pids:
            os.kill(pid, signal.SIGKILL)

    def serve(self, handle: Callable[[Message], None], on_end: Callable[[], None]) -> NoReturn:
        """Wait for messages and for the ends of processes, until the server is gone.

        Parameters
        ----------
        handle : callable
            Takes a message.
        on_end : callable
            Called after a forked process ended, and all that it left is gone.
        """
        while True:
            control = self._control.fileno()
            ready = _select([control, self._woken], (), ())[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap(on_end)
            if control in ready:
                handle(receive(self._control))

    def _reap(self, on_end: Callable[[], None]) -> None:
        """Collect processes that ended: forked here, or orphans that were adopted."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._pids:
                self._pids.remove(pid)
                end_descendants(self._pids, _GRACE_SECONDS)
                code = os.waitstatus_to_exitcode(status)
                send(self._control, {"op": "ended", "pid": pid, "status": code})
                on_end()

    def _become(self, channel: socket.socket, output: int) -> None:
        """Give up what belongs to the process that forked."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self._former)
        self._control.close()
        os.close(self._woken)
        os.close(self._wakeup)
        channel.set_inheritable(False)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        for fd, position in self._files.items():
            _open_again(fd, *position)

    def _run(self, work: Work, channel: socket.socket) -> NoReturn:
        status = 1
        try:
            work(channel)
            status = 0
        except ChannelClosed:
            status = CUT_OFF
        finally:
            os._exit(status)


def can_fork() -> bool:
    """Whether forks of this process would work: a module may prevent that."""
    try:
        reader, writer = os.pipe()
        ours, theirs = socket.socketpair()
        flush()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, b"!")
            finally:
                os._exit(0)
        os.close(writer)
        answer = os.read(reader, 1)
        os.waitpid(pid, 0)
        for end in (ours, theirs):
            end.close()
        os.close(reader)
    except OSError:
        return False
    return answer == b"!"


def _positions() -> dict[int, tuple[int, int]]:
    """Return flags and positions of the files that scripts opened while they were imported."""
    if sys.platform != "linux":
        return {}
    found = {}
    for fd, mode in open_files():
        if fd > 2 and stat.S_ISREG(mode):
            found[fd] = _flags(fd), os.lseek(fd, 0, os.SEEK_CUR)
    return found


def _flags(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_CREAT & ~os.O_EXCL & ~os.O_TRUNC


def _open_again(fd: int, flags: int, position: int) -> None:
    """Give this process a position of its own in a file that all forks inherit."""
    with suppress(OSError):  # its permissions changed: the forks go on sharing it
        own = os.open(FILES / str(fd), flags)
        os.lseek(own, position, os.SEEK_SET)
        os.dup2(own, fd, inheritable=False)
        os.close(own)
