"""One child as the operating system sees it: its pipes, its descendants, its end."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import psutil
from bson.raw_bson import RawBSONDocument

from jobserver.protocol import CUT_OFF, Broken, Message, Reader, send
from jobserver.strays import MARK, end_marked, unique_name

TICK_SECONDS = 0.25
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
    """The child is gone.

    Attributes
    ----------
    status : int or None
        Exit code, the negative number of a signal, or None if nobody knows.
    """

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return self.describe()

    def describe(self) -> str:
        """What ended it, for the user."""
        if self.status is None:
            return "the process that ran it ended"
        if self.status < 0:
            return f"killed by {_signal_name(-self.status)}"
        if self.status == CUT_OFF:
            return "the script closed the pipes of its process"
        return f"the script ended its process with exit code {self.status}"


class ChildProcess:
    """A guard and the child below it, with the pipes to talk to them.

    Parameters
    ----------
    wake : int
        Descriptor that another thread writes to when `events` has to look up.
    walls : sequence of str
        What to put before the command; see `jobserver.executors.sandbox`.
    """

    def __init__(self, wake: int, walls: Sequence[str] = ()) -> None:
        commands, self._commands = os.pipe()
        self._messages, messages = os.pipe()
        self._output, output = os.pipe()
        self._news, news = os.pipe()
        life, self._life = os.pipe()
        self._mark = unique_name()
        theirs = (commands, messages, output)
        try:
            self.process = subprocess.Popen(
                [*walls, sys.executable, "-P", "-m", "jobserver.child", *map(str, theirs)],
                stdin=life,
                stdout=news,
                pass_fds=theirs,
                env=_environment() | {MARK: self._mark},
                cwd="/",
            )
        finally:
            for fd in (*theirs, life, news):
                os.close(fd)
        self._reader = Reader()
        self._pending: deque[RawBSONDocument] = deque()
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        for fd in (self._messages, self._output, self._news, wake):
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ)

    @property
    def is_gone(self) -> bool:
        """Whether the child ended; its guard ends with it."""
        return self.process.poll() is not None

    def send(self, message: Message) -> None:
        """Send the child a message; `ChildEnded` if it cannot read any more."""
        try:
            send(self._commands, message)
        except Broken as error:
            raise ChildEnded(self._status()) from error

    def answer(self, message: Message) -> None:
        """Send a short message to a child that waits for one.

        Raises
        ------
        ChildEnded
            If it cannot take it at once: it did not wait, and must not hold us up.
        """
        if not select.select((), (self._commands,), (), 0)[1]:
            raise ChildEnded(None)
        self.send(message)

    def events(self) -> Iterator[tuple[str, Any]]:
        """What happens: ``message``, ``output``, and ``tick`` when nothing did for a while.

        Raises
        ------
        ChildEnded
            When the child is gone, after the last of its output.
        """
        while True:
            while self._pending:
                yield "message", self._pending.popleft()
            ready = {key.fd for key, _ in self._selector.select(TICK_SECONDS)}
            if self._wake in ready:
                _read(self._wake)
            if self._output in ready:
                yield "output", _read(self._output)
            if self._messages in ready:
                self._take_messages()
            elif self._news in ready:
                yield "output", self.rest_of_output()
                raise ChildEnded(self._status())
            yield "tick", None

    def rest_of_output(self) -> bytes:
        """All output that waits in the pipe; what still writes to it does not hold us up."""
        pieces = iter(partial(_read, self._output), b"")
        return b"".join(islice(pieces, _PIPE_PIECES))

    def memory(self) -> int:
        """Bytes of memory that the child and its descendants hold, each with what they share."""
        return self._sum(lambda process: process.memory_info().rss)

    def memory_alone(self) -> int:
        """The same with what they share counted once, where the system tells; it takes longer."""
        return self._sum(_share)

    def _sum(self, size: Callable[[psutil.Process], int]) -> int:
        total = 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                total += size(process)
        return total

    def end(self) -> None:
        """End the child and everything below it, and wait until they are gone."""
        os.close(self._life)
        self.process.send_signal(signal.SIGCONT)  # a script may have stopped its guard
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            for process in self._tree():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.process.kill()
            self.process.wait()
        if self.process.returncode:  # the guard itself was ended, and left what was below it
            end_marked(self._mark)
        self._close()

    def _take_messages(self) -> None:
        piece = _read(self._messages)
        if not piece:
            self._selector.unregister(self._messages)
            return
        try:
            self._pending.extend(self._reader.feed(piece))
        except Broken as error:
            raise ChildEnded(None) from error

    def _status(self) -> int | None:
        """How the child ended, as the guard tells it."""
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            try:
                text = os.read(self._news, 64)
            except BlockingIOError:
                with selectors.DefaultSelector() as selector:
                    selector.register(self._news, selectors.EVENT_READ)
                    selector.select(deadline - time.monotonic())
                continue
            return int(text) if text.strip().lstrip(b"-").isdigit() else None
        return None

    def _tree(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def _close(self) -> None:
        self._selector.close()
        for fd in (self._commands, self._messages, self._output, self._news):
            os.close(fd)


def _share(process: psutil.Process) -> int:
    """Bytes that a process holds, of what it shares its part."""
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):  # no Linux, or another user's process
        return int(process.memory_info().rss)


def _signal_name(number: int) -> str:
    names = {known.value: known.name for known in signal.Signals}
    return names.get(number, f"signal {number}")


def _environment() -> dict[str, str]:
    allowed = {name: text for name, text in os.environ.items() if name in ENVIRONMENT}
    return allowed | {"MPLBACKEND": "Agg"}


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _PIECE)
    except BlockingIOError:
        return b""
