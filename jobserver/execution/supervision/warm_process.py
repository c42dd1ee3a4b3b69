"""The server's side of a warm process, and of the runs that are forked from it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from jobserver.execution.supervision.child_process import ChildEnded, Pump, read, rest_of
from jobserver.scripts.loading import Stamps
from jobserver.system.protocol import Channel, ChannelClosed, Malformed, Message

#: Seconds that a process may take to read a message.
SEND_SECONDS = 10.0
#: Characters at the end of what was printed while scripts were loaded.
_TAIL = 4000


class RunProcess:
    """One forked process: it waits for a run, carries it out and ends.

    Parameters
    ----------
    pump : Pump
        Hands out what it sends.
    pid : int
        Its number.
    channel, output : Channel, int
        What it says, and what it prints.
    """

    def __init__(self, pump: Pump, pid: int, channel: Channel, output: int) -> None:
        self.pid = pid
        self.messages: list[RawBSONDocument] = []
        self.printed = bytearray()
        self.has_ended, self._is_open, self.is_disturbed = False, True, False
        self._silent_since: float | None = None
        self.status: int | None = None
        self._pump = pump
        self._channel = channel
        self._output = output
        os.set_blocking(output, False)
        pump.watch(channel, self._read)
        pump.watch(output, self._print)

    @property
    def silent_for(self) -> float:
        """Seconds since it closed its channel; 0 if it did not."""
        return time.monotonic() - self._silent_since if self._silent_since else 0.0

    def send(self, message: Message, seconds: float = SEND_SECONDS) -> None:
        """Send it a message; `ChildEnded` if it does not read it."""
        try:
            self._channel.send(message, seconds)
        except ChannelClosed as error:
            raise ChildEnded(self.status) from error

    def take_messages(self) -> list[RawBSONDocument]:
        """What it said since the last call."""
        messages, self.messages = self.messages, []
        return messages

    def take_rest(self) -> None:
        """Take what it printed that was not handed out yet."""
        self.printed += rest_of(self._output)

    def take_output(self) -> bytes:
        """What it printed since the last call."""
        printed, self.printed = bytes(self.printed), bytearray()
        return printed

    def end(self, status: int | None) -> None:
        """Take note that it ended, and take the rest of what it said and printed."""
        self.has_ended, self.status = True, status
        if self._is_open:
            self._read()
            self.take_rest()

    def close(self) -> None:
        """Listen to it no longer."""
        if self._is_open:
            self._is_open = False
            self._pump.forget(self._channel)
            self._pump.forget(self._output)
            self._channel.close()
            os.close(self._output)

    def _read(self) -> None:
        try:
            self.messages += self._channel.read()
        except ChannelClosed as error:
            self.is_disturbed = self.is_disturbed or isinstance(error, Malformed)
            self._silent_since = self._silent_since or time.monotonic()
            self._pump.forget(self._channel)

    def _print(self) -> None:
        piece = read(self._output)
        self.printed += piece
        if not piece:
            self._pump.forget(self._output)


class WarmProcess:
    """A process with scripts loaded, from which runs are forked one after another.

    Parameters
    ----------
    pump : Pump
        Hands out what it sends.
    pid : int
        Its number.
    channel, output : Channel, int
        What it says, and what it prints.
    stamps : dict
        What the files of the scripts looked like when it was ordered.
    order : dict
        What it was told to load; see `jobserver.child.warm.Warm`.

    Attributes
    ----------
    table : dict or None
        What it said of its scripts once they were loaded.
    loading : tuple or None
        Module that is being loaded, what is done, and since when.
    apart : dict of str to str
        What modules started while they were loaded.
    run : RunProcess or None
        The fork that waits or runs.
    is_busy : bool
        Whether the fork carries out a run.
    answers : list of dict
        What it answered to questions.
    """

    def __init__(
        self, pump: Pump, pid: int, channel: Channel, output: int, stamps: Stamps, order: Message
    ) -> None:
        self.pid = pid
        self.stamps = stamps
        self.skip = frozenset(order["skip"])
        self.left_apart = frozenset(order["apart"])
        self.table: Message | None = None
        self.loading: tuple[str, str, float] | None = None
        self.apart: dict[str, str] = {}
        self.run: RunProcess | None = None
        self.answers: list[Message] = []
        self.is_gone = self.is_busy = False
        self.gone = 0.0
        self._pump = pump
        self._channel = channel
        self._output = output
        self._printed = b""
        os.set_blocking(output, False)
        pump.watch(channel, self._read)
        pump.watch(output, self._print)

    @property
    def printed(self) -> str:
        """The end of what was printed while scripts were loaded."""
        return self._printed.decode("utf-8", "replace").strip()

    def module_of(self, name: str) -> str | None:
        """The module of a script; None if it has no such script."""
        modules: Mapping[str, str] = self.table["modules"] if self.table else {}
        return modules.get(name)

    def send(self, message: Message) -> None:
        """Send it a message; `ChildEnded` if it does not read it."""
        try:
            self._channel.send(message, SEND_SECONDS)
        except ChannelClosed as error:
            raise ChildEnded from error

    def close(self) -> None:
        """Listen to it no longer."""
        self.is_gone = True
        if self.run:
            self.run.close()
        self._pump.forget(self._channel)
        self._pump.forget(self._output)
        self._channel.close()
        os.close(self._output)

    def _read(self) -> None:
        try:
            for message in self._channel.read():
                self._hear(bson.decode(message.raw))
        except (ChannelClosed, BSONError, KeyError, TypeError, ValueError):
            self.is_gone, self.gone = True, time.monotonic()
            self._pump.forget(self._channel)

    def _hear(self, message: Message) -> None:
        hear: dict[str, Callable[[Message], None]] = {
            "loading": self._began,
            "apart": self._started,
            "ready": self._loaded,
            "forked": self._forked,
            "ended": self._ended,
        }
        hear.get(message["op"], self.answers.append)(message)

    def _began(self, message: Message) -> None:
        rest_of(self._output)  # of what was loaded before
        self._printed = b""
        self.loading = str(message["module"]), str(message["doing"]), time.monotonic()

    def _started(self, message: Message) -> None:
        self.apart[str(message["module"])] = str(message["what"])

    def _loaded(self, message: Message) -> None:
        self.table, self.loading = message, None

    def _forked(self, message: Message) -> None:
        if self.run and not self.is_busy:  # it died while it waited
            self.run.close()
        channel, output = forked(self._channel)
        self.run = RunProcess(self._pump, int(message["pid"]), channel, output)

    def _ended(self, message: Message) -> None:
        if self.run and message["pid"] == self.run.pid:
            self.run.end(int(message["status"]))

    def _print(self) -> None:
        piece = read(self._output)
        self._printed = (self._printed + piece)[-_TAIL:]
        if not piece:
            self._pump.forget(self._output)


def forked(channel: Channel) -> tuple[Channel, int]:
    """The channel and the output of a process that the sender forked."""
    end, output = channel.take_files(2)
    return Channel(socket.socket(fileno=end)), output
