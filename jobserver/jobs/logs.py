"""The output of runs: pieces of text under a job's private key, by attempt and offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bson import ObjectId

from jobserver.sizes import MIB
from jobserver.storage.database import Database, Document


def append(database: Database, key: ObjectId, attempt: int, offset: int, text: bytes) -> None:
    """Store a piece of output.

    Parameters
    ----------
    key : ObjectId
        The job's private key.
    attempt : int
        Number of the attempt that printed it, from 1.
    offset : int
        Bytes that this attempt printed before; a piece sent twice is stored once.
    text : bytes
        The piece.
    """
    for begin in range(0, len(text), MIB):
        piece_id = f"{key}:{attempt:06}:{offset + begin:012}"
        database.insert("logs", {"_id": piece_id, "text": text[begin : begin + MIB]})


def read(database: Database, key: ObjectId, begin: int, end: int) -> Iterator[bytes]:
    """Yield the output of all attempts between two offsets in bytes."""
    position = 0
    for piece in database.find("logs", _pieces(key), sort=[("_id", 1)]):
        text: bytes = piece["text"]
        if position >= end:
            return
        if position + len(text) > begin:
            yield text[max(begin - position, 0) : end - position]
        position += len(text)


def since(
    database: Database, cursors: Mapping[ObjectId, str]
) -> Iterator[tuple[ObjectId, str, bytes]]:
    """Yield the pieces of several logs, each after a cursor, with their keys and own cursors.

    A cursor is ``attempt:offset``, all digits; an empty one is before the first piece.
    """
    windows = [
        {"_id": {"$gt": f"{key}:{cursor}", "$lt": f"{key};"}} for key, cursor in cursors.items()
    ]
    if not windows:
        return
    for piece in database.find("logs", {"$or": windows}, sort=[("_id", 1)]):
        key, _, cursor = piece["_id"].partition(":")
        yield ObjectId(key), cursor, piece["text"]


def size(database: Database, key: ObjectId, attempts: int) -> int:
    """Return the bytes of output of so many attempts."""
    total = 0
    for attempt in range(1, attempts + 1):
        pieces = {"_id": {"$gte": f"{key}:{attempt:06}:", "$lt": f"{key}:{attempt:06};"}}
        for last in database.find("logs", pieces, sort=[("_id", -1)], limit=1):
            total += int(last["_id"].rpartition(":")[2]) + len(last["text"])
    return total


def delete(database: Database, keys: Iterable[ObjectId]) -> None:
    """Delete the output stored under some keys."""
    for key in keys:
        database.call(database["logs"].delete_many, _pieces(key))


def _pieces(key: ObjectId) -> Document:
    return {"_id": {"$gte": f"{key}:", "$lt": f"{key};"}}
