"""Messages between the server and its children: BSON documents, one after another, over sockets.

BSON because it says its own length, keeps times, bytes and 64-bit integers, and is what results
are stored as. A message from a child is never trusted: user code shares its process.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

Message = dict[str, Any]

#: Longest message that is read, in bytes; larger results travel as files.
LIMIT = 64 * 1024 * 1024
_HEADER = struct.Struct("<i")
_PIECE = 256 * 1024
_MOST_FILES = 8


class ChannelClosed(Exception):
    """The other end closed the channel or sent what is no message."""


class Malformed(ChannelClosed):
    """The other end sent what is no message."""


def send(channel: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    """Write one message to a blocking socket.

    Parameters
    ----------
    files : sequence of int
        Descriptors to pass along.

    Raises
    ------
    ChannelClosed
        If nobody reads it any more, or a script closed it.
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
        At its end, or where the bytes are no message.
    """
    header = _read_exactly(channel, _HEADER.size)
    size = _HEADER.unpack(header)[0]
    if not _HEADER.size < size <= LIMIT:
        raise ChannelClosed("what was sent is no message")
    return _decode(header + _read_exactly(channel, size - _HEADER.size))


class Reader:
    """Takes messages out of a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._error: Malformed | None = None

    def feed(self, piece: bytes) -> list[RawBSONDocument]:
        """The messages that are complete with this piece; their inner documents stay undecoded.

        Raises
        ------
        Malformed
            If what comes next is no message; those before it are given first.
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
                raise Malformed("what was sent is no message") from error
            begin += size
        del self._buffer[:begin]

    def _next_size(self, begin: int) -> int | None:
        if len(self._buffer) - begin < _HEADER.size:
            return None
        size: int = _HEADER.unpack_from(self._buffer, begin)[0]
        if not _HEADER.size < size <= LIMIT:
            raise Malformed("what was sent is no message")
        return size if len(self._buffer) - begin >= size else None


class Channel:
    """The server's end of a socket to a child: it never waits for one that does not answer.

    Parameters
    ----------
    end : socket
        Of the server alone.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._reader = Reader()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """Descriptor, to be waited for."""
        return self._socket.fileno()

    def read(self) -> list[RawBSONDocument]:
        """The messages that are there.

        Raises
        ------
        ChannelClosed
            At the end, or where the bytes are no message.
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

    def take_files(self, count: int) -> list[int]:
        """The next descriptors that came along.

        Raises
        ------
        ChannelClosed
            If fewer came.
        """
        if len(self._files) < count:
            raise ChannelClosed("what was sent lacks its descriptors")
        return [self._files.popleft() for _ in range(count)]

    def send(self, message: Message, seconds: float) -> None:
        """Write a message.

        Raises
        ------
        ChannelClosed
            If the other end is closed, or does not take it within some seconds.
        """
        view, due = memoryview(bson.encode(message)), time.monotonic() + seconds
        while view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                left = due - time.monotonic()
                if left <= 0 or not select.select((), (self._socket,), (), left)[1]:
                    raise ChannelClosed("the other end does not read") from None
            except OSError as error:
                raise ChannelClosed("the channel is closed") from error

    def close(self) -> None:
        """Close it, and what came along and was not taken."""
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
        raise ChannelClosed("what was sent is no message") from error
