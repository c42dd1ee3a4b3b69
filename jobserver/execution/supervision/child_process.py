"""One child as the operating system sees it: its guard, its memory, its end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from jobserver.system.orphans import MARK, end_marked, unique_name
from jobserver.system.process_tree import describe_end
from jobserver.system.protocol import Channel

_PIECE = 64 * 1024
#: A pipe holds at most 1 MiB.
_PIPE_PIECES = 16
_END_SECONDS = 2.0

#: All that a child gets of the server's environment: no secret can be among it.
ENVIRONMENT = frozenset(
    """
    PATH HOME LANG LANGUAGE LC_ALL LC_CTYPE TZ LD_LIBRARY_PATH DYLD_LIBRARY_PATH
    PYTHONPATH VIRTUAL_ENV CONDA_PREFIX OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
    OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS NUMEXPR_NUM_THREADS
    """.split()  # noqa: SIM905 - easier to read and to add to
)


class ChildEnded(Exception):
    """A process is gone.

    Attributes
    ----------
    status : int or None
        Exit code, the negative number of a signal, or None if nobody knows.
    """

    def __init__(self, status: int | None = None) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return self.describe()

    def describe(self) -> str:
        """What ended it, for the user."""
        if self.status is None:
            return "the process that ran it ended"
        return describe_end(self.status)


class Pump:
    """Waits for what processes send, and hands each piece to whoever it is for."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._actions: dict[Any, Callable[[], None]] = {}

    def watch(self, file: Any, action: Callable[[], None]) -> None:
        """Call an action whenever a file has something to read."""
        self._selector.register(file, selectors.EVENT_READ)
        self._actions[file] = action

    def forget(self, file: Any) -> None:
        """Watch a file no longer; to be called before it is closed."""
        if self._actions.pop(file, None):
            self._selector.unregister(file)

    def turn(self, seconds: float) -> None:
        """Wait for some seconds at most, and hand out what came."""
        for key, _ in self._selector.select(seconds):
            if action := self._actions.get(key.fileobj):  # unless one before ended it
                action()

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()


class ChildProcess:
    """A guard and the base process below it.

    Parameters
    ----------
    walls : sequence of str
        What to put before the command; see `jobserver.execution.supervision.sandbox`.

    Attributes
    ----------
    channel : Channel
        To the base process.
    """

    def __init__(self, walls: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        life, self._life = os.pipe()
        self._mark = unique_name()
        try:
            self.process = subprocess.Popen(
                [*walls, sys.executable, "-P", "-m", "jobserver.child", str(theirs.fileno())],
                stdin=life,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment() | {MARK: self._mark},
                cwd="/",
            )
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
        return self.process.poll() is not None

    def tree(self) -> list[psutil.Process]:
        """Every process below the guard."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def end(self) -> None:
        """End the child and everything below it, and wait until they are gone."""
        os.close(self._life)
        self.process.send_signal(signal.SIGCONT)  # a script may have stopped its guard
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            for process in self.tree():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.process.kill()
            self.process.wait()
        if self.process.returncode:  # the guard itself was ended, and left what was below it
            end_marked(self._mark)
        self.channel.close()


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and all below it; nothing if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def read(fd: int) -> bytes:
    """What waits in a pipe, at most 64 KiB."""
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return b""


def rest_of(fd: int) -> bytes:
    """All that waits in a pipe; what still writes to it does not hold us up."""
    pieces = iter(partial(read, fd), b"")
    return b"".join(islice(pieces, _PIPE_PIECES))


def resident(processes: Iterable[psutil.Process]) -> int:
    """Bytes of memory that processes hold, each with what they share."""
    return _sum(processes, lambda process: process.memory_info().rss)


def own_memory(processes: Iterable[psutil.Process]) -> tuple[int, int]:
    """Bytes that processes hold, what they share counted once, where the system tells.

    What is read from files, such as libraries, does not count: the system takes it back.

    Returns
    -------
    tuple of int
        Of memory of their own, and of shared memory.
    """
    listed = list(processes)
    if sys.platform != "linux":
        return resident(listed), 0
    return _sum(listed, partial(_share, b"Pss_Anon:")), _sum(listed, partial(_share, b"Pss_Shmem:"))


def _sum(processes: Iterable[psutil.Process], size: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            total += size(process)
    return total


def _share(kind: bytes, process: psutil.Process) -> int:
    try:
        told = Path(f"/proc/{process.pid}/smaps_rollup").read_bytes()
    except FileNotFoundError:  # it ended, or the system does not tell
        return int(process.memory_info().rss) if kind == b"Pss_Anon:" else 0
    for line in told.splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) * 1024
    return 0


def _environment() -> dict[str, str]:
    allowed = {name: text for name, text in os.environ.items() if name in ENVIRONMENT}
    return allowed | {"MPLBACKEND": "Agg"}
