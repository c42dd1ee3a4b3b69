"""The server's side of a warm process, and of the runs forked from it."""

from __future__ import annotations

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from jobserver.execution.supervision.child_process import ChildEnded, Pump, read, read_rest
from jobserver.scripts.loading import Stamps
from jobserver.system.protocol import Channel, ChannelClosed, Malformed, Message

#: Seconds that a process may take to read a message.
SEND_SECONDS = 10.0
#: Bytes kept of what was printed last while scripts were loaded.
_TAIL = 4000


class ForkedProcess(ABC):
    """A forked process as the server sees it: a channel, and a pipe with what it prints.

    Parameters
    ----------
    pump : Pump
        Delivers what it sends.
    pid : int
        Its process id.
    channel, output : Channel, int
        Its messages, and the pipe that it prints to.

    Attributes
    ----------
    status : int or None
        Exit code, the negative number of a signal, or None while unknown.
    is_malformed : bool
        Whether it sent something that is not a message.
    """

    def __init__(self, pump: Pump, pid: int, channel: Channel, output: int) -> None:
        self.pid = pid
        self.status: int | None = None
        self._pump = pump
        self._channel = channel
        self._output = output
        self._is_open, self.is_malformed = True, False
        self._silent_since: float | None = None
        os.set_blocking(output, False)
        pump.watch(channel, self._read_channel)
        pump.watch(output, self._read_output)

    @property
    def silent_for(self) -> float:
        """Seconds since its channel was closed or became unusable; 0 while it is open."""
        return time.monotonic() - self._silent_since if self._silent_since else 0.0

    def send(self, message: Mapping[str, object], seconds: float = SEND_SECONDS) -> None:
        """Send a message; raise `ChildEnded` if the process does not read it."""
        try:
            self._channel.send(message, seconds)
        except ChannelClosed as error:
            raise ChildEnded(self.status) from error

    def close(self) -> None:
        """Stop listening to it."""
        if self._is_open:
            self._is_open = False
            self._pump.forget(self._channel)
            self._pump.forget(self._output)
            self._channel.close()
            os.close(self._output)

    @abstractmethod
    def _receive(self, messages: list[RawBSONDocument]) -> None:
        """Take messages, which are not trusted."""

    @abstractmethod
    def _print(self, piece: bytes) -> None:
        """Take what it printed."""

    def _read_channel(self) -> None:
        try:
            self._receive(self._channel.read())
        except (ChannelClosed, BSONError, KeyError, TypeError, ValueError) as error:
            self.is_malformed = self.is_malformed or isinstance(error, Malformed)
            self._silent_since = self._silent_since or time.monotonic()
            self._pump.forget(self._channel)

    def _read_output(self) -> None:
        piece = read(self._output)
        self._print(piece)
        if not piece:
            self._pump.forget(self._output)


class RunProcess(ForkedProcess):
    """A forked process that waits for a run, runs it and ends.

    Attributes
    ----------
    messages : list of RawBSONDocument
        Messages that nobody took yet.
    has_ended : bool
        Whether it is gone.
    """

    def __init__(self, pump: Pump, pid: int, channel: Channel, output: int) -> None:
        super().__init__(pump, pid, channel, output)
        self.messages: list[RawBSONDocument] = []
        self.has_ended = False
        self._printed = bytearray()

    def take_messages(self) -> list[RawBSONDocument]:
        """Return the messages since the last call."""
        messages, self.messages = self.messages, []
        return messages

    def take_output(self) -> bytes:
        """Return what it printed since the last call."""
        printed, self._printed = bytes(self._printed), bytearray()
        return printed

    def read_rest(self) -> None:
        """Read what is left in its output pipe."""
        self._printed += read_rest(self._output)

    def end(self, status: int | None) -> None:
        """Note that it ended, and read the rest of its messages and output."""
        self.has_ended, self.status = True, status
        if self._is_open:
            self._read_channel()
            self.read_rest()
            # One that ends by itself has sent whole messages, unless a script wrote too.
            self.is_malformed = self.is_malformed or (status == 0 and self._channel.is_cut)

    def _receive(self, messages: list[RawBSONDocument]) -> None:
        self.messages += messages

    def _print(self, piece: bytes) -> None:
        self._printed += piece


class WarmProcess(ForkedProcess):
    """A process with scripts loaded, from which runs are forked one after another.

    Parameters
    ----------
    pump, pid, channel, output
        See `ForkedProcess`.
    stamps : dict
        State of the script files when it was ordered.
    order : dict
        What it was ordered to load; see `jobserver.child.warm.Warm`.

    Attributes
    ----------
    table : dict or None
        Its description of the scripts, once they are loaded.
    loading : tuple or None
        Module being loaded, what is being done, and since when.
    apart : dict of str to str
        What modules started while they were loaded.
    run : RunProcess or None
        The fork that waits or runs.
    is_busy : bool
        Whether that fork runs a job.
    answers : list of dict
        Its answers to questions.
    """

    def __init__(
        self, pump: Pump, pid: int, channel: Channel, output: int, stamps: Stamps, order: Message
    ) -> None:
        super().__init__(pump, pid, channel, output)
        self.stamps = stamps
        self.skip = frozenset(order["skip"])
        self.table: Message | None = None
        self.loading: tuple[str, str, float] | None = None
        self.apart: dict[str, str] = {}
        self.run: RunProcess | None = None
        self.answers: list[Message] = []
        self.is_busy = False
        self._printed = b""

    @property
    def printed(self) -> str:
        """The end of what was printed while scripts were loaded."""
        return self._printed.decode("utf-8", "replace").strip()

    def module_of(self, name: str) -> str | None:
        """Return the module of a script; None if it has no such script."""
        return self._modules.get(name)

    @property
    def versions(self) -> Mapping[str, str | None]:
        """Names of its scripts, with the checksum of each one's file."""
        versions: Mapping[str, str | None] = self.table["versions"] if self.table else {}
        return versions

    @property
    def _modules(self) -> Mapping[str, str]:
        modules: Mapping[str, str] = self.table["modules"] if self.table else {}
        return modules

    def close(self) -> None:
        """Stop listening to it, and to its fork."""
        if self.run:
            self.run.close()
        super().close()

    def _receive(self, messages: list[RawBSONDocument]) -> None:
        for message in messages:
            self._handle(bson.decode(message.raw))

    def _print(self, piece: bytes) -> None:
        self._printed = (self._printed + piece)[-_TAIL:]

    def _handle(self, message: Message) -> None:
        handlers: dict[str, Callable[[Message], None]] = {
            "loading": self._on_loading,
            "apart": self._on_apart,
            "ready": self._on_ready,
            "forked": self._on_forked,
            "ended": self._on_ended,
        }
        handlers.get(message["op"], self.answers.append)(message)

    def _on_loading(self, message: Message) -> None:
        read_rest(self._output)  # printed by the module before
        self._printed = b""
        self.loading = str(message["module"]), str(message["doing"]), time.monotonic()

    def _on_apart(self, message: Message) -> None:
        self.apart[str(message["module"])] = str(message["what"])

    def _on_ready(self, message: Message) -> None:
        self.table, self.loading = message, None

    def _on_forked(self, message: Message) -> None:
        if self.run and not self.is_busy:  # it died while it waited
            self.run.close()
        channel, output = take_fork(self._channel)
        self.run = RunProcess(self._pump, int(message["pid"]), channel, output)

    def _on_ended(self, message: Message) -> None:
        if self.run and message["pid"] == self.run.pid:
            self.run.end(int(message["status"]))


def take_fork(channel: Channel) -> tuple[Channel, int]:
    """Return the channel and the output pipe of a process that the sender forked."""
    end, output = channel.take_files(2)
    return Channel(socket.socket(fileno=end)), output
