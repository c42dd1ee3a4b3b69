"""One child as the operating system sees it: its guard, its memory, its end."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil

from jobserver.system.process_tree import describe_end
from jobserver.system.protocol import Channel
from jobserver.system.run_user import RunUser

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

log = logging.getLogger(__name__)

_PIECE = 64 * 1024
#: A pipe holds at most 1 MiB.
_PIPE_PIECES = 16
_END_SECONDS = 2.0

#: The only variables that a child inherits from the server: none can hold a secret.
_ENVIRONMENT = frozenset(
    """
    PATH HOME LANG LANGUAGE LC_ALL LC_CTYPE TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH
    PYTHONPATH VIRTUAL_ENV CONDA_PREFIX OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
    OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS
    """.split()  # noqa: SIM905 - easier to read and to add to
)


class ChildEnded(Exception):
    """A process ended.

    Attributes
    ----------
    status : int or None
        Exit code, the negative number of a signal, or None if unknown.
    """

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        if self.status is None:
            return "the process that ran it ended"
        return describe_end(self.status)


class Pump:
    """Waits for what processes send, and calls the action that reads it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._actions: dict[object, Callable[[], None]] = {}

    def watch(self, file: FileDescriptorLike, action: Callable[[], None]) -> None:
        """Call an action whenever a file can be read."""
        self._selector.register(file, selectors.EVENT_READ)
        self._actions[file] = action

    def forget(self, file: FileDescriptorLike) -> None:
        """Stop watching a file; call this before closing it."""
        if self._actions.pop(file, None):
            self._selector.unregister(file)

    def turn(self, seconds: float) -> None:
        """Wait for so many seconds at most, and call the actions of the files to read."""
        for key, _ in self._selector.select(seconds):
            if action := self._actions.get(key.fileobj):  # unless an earlier one removed it
                action()

    def close(self) -> None:
        """Stop watching everything."""
        self._selector.close()


class Guard(Protocol):
    """The guard of a child, as a process that we started or had forked.

    Attributes
    ----------
    pid : int or None
        Its process id; None before it was forked.
    """

    @property
    def pid(self) -> int | None: ...  # noqa: D102 - see above

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end, for so many seconds at most; return whether it ended."""

    def signal(self, order: signal.Signals) -> None:
        """Send it a signal, unless it ended."""

    def clear_up(self) -> None:
        """Clear up after its end."""


class ChildProcess:
    """A guard and the base process below it.

    Parameters
    ----------
    start : callable
        Starts the guard with descriptors of the channel of its child and of its standard input;
        once the other end of that closes, the guard ends everything.

    Attributes
    ----------
    channel : Channel
        To the base process.
    """

    def __init__(self, start: Callable[[int, int], Guard]) -> None:
        ours, theirs = socket.socketpair()
        life, self._life = os.pipe()
        try:
            self._guard = start(theirs.fileno(), life)
        except BaseException:
            ours.close()
            os.close(self._life)
            raise
        finally:
            theirs.close()
            os.close(life)
        self.channel = Channel(ours)

    @property
    def is_gone(self) -> bool:
        """Whether the base process ended; its guard ends with it."""
        return self._guard.wait(0)

    def tree(self) -> list[psutil.Process]:
        """Return every process below the guard."""
        return tree_of(self._guard.pid)[1:] if self._guard.pid else []

    def end(self) -> None:
        """Kill the child and everything below it, and wait until they are gone."""
        os.close(self._life)
        self._guard.signal(signal.SIGCONT)  # a script may have stopped its guard
        if self._guard.pid and not self._guard.wait(_END_SECONDS):
            for process in self.tree():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._guard.signal(signal.SIGKILL)
            self._guard.wait(None)
        self._guard.clear_up()
        self.channel.close()


def tree_of(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; nothing if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def read(fd: int) -> bytes:
    """Return what waits in a pipe, at most 64 KiB."""
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return b""


def read_rest(fd: int) -> bytes:
    """Return all that waits in a pipe; a process that keeps writing cannot hold us up."""
    pieces = iter(partial(read, fd), b"")
    return b"".join(islice(pieces, _PIPE_PIECES))


def resident(processes: Iterable[psutil.Process]) -> int:
    """Return the bytes of memory that processes hold; shared memory counts for each of them."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            total += process.memory_info().rss
    return total


def own_memory(processes: Iterable[psutil.Process]) -> tuple[int, int]:
    """Return the bytes that processes hold, counting shared memory once where the system can.

    Pages of files, such as libraries, do not count: the system can drop them at any time.

    Returns
    -------
    own, shared : int
        Private memory, and shared memory.
    """
    listed = list(processes)
    if sys.platform != "linux":
        return resident(listed), 0
    sizes = [_proportional_memory(process) for process in listed]
    return sum(own for own, _ in sizes), sum(shared for _, shared in sizes)


def _proportional_memory(process: psutil.Process) -> tuple[int, int]:
    """Return a process's share of its private and of its shared memory, in bytes."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:  # it ended, the system has no such file, or it may not be read
        return resident([process]), 0
    sizes = {line.split()[0]: line.split()[1] for line in lines[1:]}
    return int(sizes.get(b"Pss_Anon:", 0)) * 1024, int(sizes.get(b"Pss_Shmem:", 0)) * 1024


def clean_environment(user: RunUser | None = None) -> dict[str, str]:
    """Return the variables of the environment that a user's children get: no secrets."""
    allowed = {name: text for name, text in os.environ.items() if name in _ENVIRONMENT}
    home = {"HOME": user.home} if user else {}
    return allowed | home | {"MPLBACKEND": "Agg"}
