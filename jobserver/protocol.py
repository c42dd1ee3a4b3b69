"""Messages between the server and its children: BSON documents, one after another, over pipes.

BSON because it says its own length, keeps times, bytes and 64-bit integers, and is what results
are stored as. A message from a child is never trusted: user code shares its process.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

Message = dict[str, Any]

#: Longest message that is read, in bytes; larger results travel as files.
LIMIT = 64 * 1024 * 1024
#: Exit code of a child whose pipes do not work any more.
CUT_OFF = 113
_HEADER = struct.Struct("<i")


class Broken(Exception):
    """The other end closed the pipe or sent what is no message."""


def send(fd: int, message: Message) -> None:
    """Write one message to a blocking pipe.

    Raises
    ------
    Broken
        If nobody reads it any more, or a script closed it.
    """
    view = memoryview(bson.encode(message))
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise Broken("the pipe is closed") from error


def receive(fd: int) -> Message:
    """Read one message from a blocking pipe.

    Raises
    ------
    Broken
        At the pipe's end, or where the bytes are no message.
    """
    header = _read_exactly(fd, _HEADER.size)
    size = _HEADER.unpack(header)[0]
    if not _HEADER.size < size <= LIMIT:
        raise Broken("what was sent is no message")
    return _decode(header + _read_exactly(fd, size - _HEADER.size))


class Reader:
    """Takes messages out of a stream that arrives in pieces, for pipes that must not block."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> list[RawBSONDocument]:
        """The messages that are complete with this piece; their inner documents stay undecoded."""
        self._buffer += piece
        complete = []
        while (size := self._next_size()) is not None:
            complete.append(RawBSONDocument(bytes(self._buffer[:size])))
            del self._buffer[:size]
        return complete

    def _next_size(self) -> int | None:
        if len(self._buffer) < _HEADER.size:
            return None
        size: int = _HEADER.unpack_from(self._buffer)[0]
        if not _HEADER.size < size <= LIMIT:
            raise Broken("what was sent is no message")
        return size if len(self._buffer) >= size else None


def _read_exactly(fd: int, size: int) -> bytes:
    pieces = []
    while size:
        try:
            piece = os.read(fd, min(size, 1024 * 1024))
        except OSError as error:
            raise Broken("the pipe is closed") from error
        if not piece:
            raise Broken("the other end is closed")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _decode(data: bytes) -> Message:
    try:
        return bson.decode(data)
    except BSONError as error:
        raise Broken("what was sent is no message") from error
