"""Messages between the server and its children: BSON documents, one after another, over sockets.

BSON states its own length, keeps times, bytes and 64-bit integers, and is what results are stored
as. Never trust a message from a child: user code shares its process.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

Message = dict[str, Any]

#: Longest message accepted, in bytes; larger results travel as files.
LIMIT = 64 * 1024 * 1024
_HEADER = struct.Struct("<i")
_PIECE = 256 * 1024
_MOST_FILES = 8
_NOT_A_MESSAGE = "received bytes that are not a message"


class Setup(TypedDict):
    """What a child needs to load its scripts, without any secret.

    Attributes
    ----------
    runs : bool
        Whether the child runs scripts, or only describes and checks them.
    can_fork : bool
        Whether forking is safe on this system.
    import_timeout : float
        Seconds that importing a script file may take.
    home, scripts : str
        Folders of the server and of its scripts.
    modules : list of str
        Installed modules with scripts.
    files : str or None
        Folder of executables, where they are allowed.
    code : bool
        Whether code sent by clients may run.
    user : str or None
        User as whom the child runs, if it is not the server's.
    output : int
        Bytes of output kept for a run.
    config : dict
        The settings that scripts may see.
    """

    runs: bool
    can_fork: bool
    import_timeout: float
    home: str
    scripts: str
    modules: list[str]
    files: str | None
    code: bool
    user: str | None
    output: int
    config: dict[str, object]


class RunSpec(TypedDict):
    """One attempt of a job, as its process gets it.

    Attributes
    ----------
    id : str
        The job's id.
    attempt : int
        Number of the attempt, from 1.
    script, data : dict
        What to run on what; data is None where none is bound.
    fields : list of str
        Names of the job's fields that the server does not read.
    folder : str
        Empty folder to work in.
    seed : int
        Start of its random numbers.
    memory, file_size : int
        Bytes it may take, and that each file may have; memory is 0 for no limit.
    files : int
        Files it may hold open.
    small_result, largest_result : int
        Bytes of a result that needs no file, and of any result.
    """

    id: str
    attempt: int
    script: dict[str, object]
    data: Message | None
    fields: list[str]
    folder: str
    seed: int
    memory: int
    files: int
    file_size: int
    small_result: int
    largest_result: int


class ChannelClosed(Exception):
    """The other end closed the channel or sent something that is not a message."""


class Malformed(ChannelClosed):
    """The other end sent something that is not a message."""

    def __init__(self) -> None:
        super().__init__(_NOT_A_MESSAGE)


def send(channel: socket.socket, message: Mapping[str, object], files: Sequence[int] = ()) -> None:
    """Write one message to a blocking socket.

    Parameters
    ----------
    files : sequence of int
        Descriptors to pass along.

    Raises
    ------
    ChannelClosed
        If the other end is gone, or a script closed this one.
    """
    data = bson.encode(message)
    try:
        sent = socket.send_fds(channel, [data], files) if files else 0
        channel.sendall(memoryview(data)[sent:])
    except OSError as error:
        raise ChannelClosed("the channel is closed") from error


def receive(channel: socket.socket) -> Message:
    """Read one message from a blocking socket.

    Raises
    ------
    ChannelClosed
        At the end of the stream, or if the bytes are not a message.
    """
    header = _read_exactly(channel, _HEADER.size)
    size = _HEADER.unpack(header)[0]
    if not _HEADER.size < size <= LIMIT:
        raise Malformed
    return _decode(header + _read_exactly(channel, size - _HEADER.size))


class Reader:
    """Splits a stream that arrives in pieces into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._error: Malformed | None = None

    @property
    def is_within(self) -> bool:
        """Whether the stream stands within a message."""
        return bool(self._buffer)

    def feed(self, piece: bytes) -> list[RawBSONDocument]:
        """Return the messages that this piece completes; inner documents stay undecoded.

        Raises
        ------
        Malformed
            If what comes next is not a message; those before it are returned first.
        """
        if self._error:
            raise self._error
        self._buffer += piece
        complete: list[RawBSONDocument] = []
        try:
            self._take(complete)
        except Malformed as error:
            if not complete:
                raise
            self._error = error
        return complete

    def _take(self, complete: list[RawBSONDocument]) -> None:
        begin = 0
        while (size := self._next_size(begin)) is not None:
            try:
                complete.append(RawBSONDocument(bytes(self._buffer[begin : begin + size])))
            except BSONError as error:
                raise Malformed from error
            begin += size
        del self._buffer[:begin]

    def _next_size(self, begin: int) -> int | None:
        if len(self._buffer) - begin < _HEADER.size:
            return None
        size: int = _HEADER.unpack_from(self._buffer, begin)[0]
        if not _HEADER.size < size <= LIMIT:
            raise Malformed
        return size if len(self._buffer) - begin >= size else None


class Channel:
    """The server's end of a socket to a child; it never blocks on a child that does not answer.

    Parameters
    ----------
    end : socket
        Used by the server alone.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._reader = Reader()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._socket.fileno()

    def read(self) -> list[RawBSONDocument]:
        """Return the messages that have arrived.

        Raises
        ------
        ChannelClosed
            At the end of the stream, or if the bytes are not a message.
        """
        try:
            piece, files, _, _ = socket.recv_fds(self._socket, _PIECE, _MOST_FILES)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ChannelClosed("the channel is closed") from error
        self._files.extend(files)
        if not piece:
            raise ChannelClosed("the other end is closed")
        return self._reader.feed(piece)

    @property
    def is_cut(self) -> bool:
        """Whether what was read so far ends within a message."""
        return self._reader.is_within

    def take_files(self, count: int) -> list[int]:
        """Return the next descriptors that came with messages.

        Raises
        ------
        ChannelClosed
            If fewer came.
        """
        if len(self._files) < count:
            raise ChannelClosed("a message came without its descriptors")
        return [self._files.popleft() for _ in range(count)]

    def send(self, message: Mapping[str, object], seconds: float) -> None:
        """Write a message.

        Raises
        ------
        ChannelClosed
            If the other end is closed, or does not read it within so many seconds.
        """
        view, due = memoryview(bson.encode(message)), time.monotonic() + seconds
        writable = select.poll()
        writable.register(self._socket, select.POLLOUT)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                left = due - time.monotonic()
                if left <= 0 or not writable.poll(left * 1000):
                    raise ChannelClosed("the other end does not read") from None
            except OSError as error:
                raise ChannelClosed("the channel is closed") from error

    def close(self) -> None:
        """Close it, and the descriptors that were not taken."""
        self._socket.close()
        while self._files:
            os.close(self._files.popleft())


def _read_exactly(channel: socket.socket, size: int) -> bytes:
    pieces = []
    while size:
        try:
            piece = channel.recv(min(size, 1024 * 1024))
        except OSError as error:
            raise ChannelClosed("the channel is closed") from error
        if not piece:
            raise ChannelClosed("the other end is closed")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _decode(data: bytes) -> Message:
    try:
        return bson.decode(data)
    except BSONError as error:
        raise Malformed from error
