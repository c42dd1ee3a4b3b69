"""What runs print: pieces of text under a job's private key, in the order of attempt and offset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bson import ObjectId

from jobserver.sizes import MIB
from jobserver.storage.database import Database, Document


def append(database: Database, key: ObjectId, attempt: int, offset: int, text: bytes) -> None:
    """Keep a piece of output.

    Parameters
    ----------
    key : ObjectId
        The job's private key.
    attempt : int
        Number of the attempt that printed it, from 1.
    offset : int
        Bytes that this attempt printed before; the same piece sent twice is kept once.
    text : bytes
        The piece.
    """
    for begin in range(0, len(text), MIB):
        place = f"{key}:{attempt:06}:{offset + begin:012}"
        database.insert("logs", {"_id": place, "text": text[begin : begin + MIB]})


def read(database: Database, key: ObjectId, offset: int = 0) -> Iterator[bytes]:
    """The output of all attempts from an offset in bytes on, piece by piece."""
    position = 0
    for piece in database.find("logs", _of(key), sort=[("_id", 1)]):
        text: bytes = piece["text"]
        if position + len(text) > offset:
            yield text[max(offset - position, 0) :]
        position += len(text)


def since(database: Database, key: ObjectId, place: str) -> Iterator[tuple[str, bytes]]:
    """The pieces after a place, each with its own place: ``attempt:offset``, all digits."""
    window = _of(key)
    if place:
        window["_id"] = {"$gt": f"{key}:{place}", "$lt": f"{key};"}
    for piece in database.find("logs", window, sort=[("_id", 1)]):
        yield piece["_id"].partition(":")[2], piece["text"]


def delete(database: Database, keys: Iterable[ObjectId]) -> None:
    """Delete the output kept under some keys."""
    for key in keys:
        database.call(database["logs"].delete_many, _of(key))


def _of(key: ObjectId) -> Document:
    return {"_id": {"$gte": f"{key}:", "$lt": f"{key};"}}
