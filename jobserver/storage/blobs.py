"""Content of any size in the database, under keys that documents refer to.

It is kept as GridFS has it, so that its tools find it. We read and write it ourselves, a piece at a
time: the driver's own reader and writer hold dozens of megabytes of each.

Content appears with the document that refers to its key, and goes with it. As that takes more than
one write, a key is marked while they are made; what nothing refers to afterwards is deleted. A mark
whose server was killed is looked after by the next one that stores something, an hour later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from io import SEEK_SET, BufferedReader, RawIOBase
from typing import Any, BinaryIO, Protocol

from bson import ObjectId

from jobserver.errors import NotFound
from jobserver.sizes import MIB
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import utcnow

CHUNK_SIZE = MIB
#: Time after which the server that set a mark is taken to be gone.
MARKS_LAST = timedelta(hours=1)
_GONE = "The content is gone: what it belonged to was deleted."


class Content(Protocol):
    """What can be read from its start, again if need be."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, up to a number; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Go to a place."""


class Blobs:
    """The content that the documents of one collection refer to.

    Parameters
    ----------
    database : Database
        Where it is kept.
    owners : str
        Collection of the documents that refer to it.
    field : str
        Their field that holds the key.
    """

    def __init__(self, database: Database, owners: str, field: str) -> None:
        self._database = database
        self._owners = database[owners]
        self._field = field
        self._marks = database[f"{owners}.marks"]
        name = f"{owners}.content"
        self._files, self._chunks = database[f"{name}.files"], database[f"{name}.chunks"]

    @contextmanager
    def settled(self, owners: Mapping[ObjectId, Any]) -> Iterator[None]:
        """Change what refers to some keys; afterwards those that nothing refers to are deleted.

        Parameters
        ----------
        owners : mapping
            Each key, and the id of the one document that may refer to it.
        """
        self.clear()
        marks = [{"_id": key, "of": owner, "since": utcnow()} for key, owner in owners.items()]
        for mark in marks:
            self._database.insert(self._marks.name, mark)
        try:
            yield
        finally:
            for mark in marks:
                self._settle(mark)

    def save(self, key: ObjectId, content: Content) -> int:
        """Store content under a marked key; its size in bytes.

        Parameters
        ----------
        content : binary file
            Read from its start; once more where the connection breaks.
        """
        return self._database.call(self._write, key, content)

    def read(self, key: ObjectId) -> bytes | None:
        """The content, or None if there is none (any more)."""
        try:
            return self.open(key).read()
        except NotFound:
            return None

    def open(self, key: ObjectId) -> BinaryIO:
        """The content as a file that can be read anywhere; `NotFound` if there is none."""
        described = self._database.call(self._files.find_one, {"_id": key})
        if described is None:
            raise NotFound(_GONE)
        return BufferedReader(_BlobReader(self, key, described["length"]))

    def chunk(self, key: ObjectId, number: int) -> bytes:
        """One of the `CHUNK_SIZE` bytes long pieces that content is kept as; the last is shorter.

        Raises
        ------
        NotFound
            If it is gone.
        """
        found = self._database.call(self._chunks.find_one, {"files_id": key, "n": number})
        if found is None:
            raise NotFound(_GONE)
        return bytes(found["data"])

    def clear(self) -> None:
        """Look after the marks of servers that are gone."""
        old = {"since": {"$lt": utcnow() - MARKS_LAST}}
        for mark in list(self._database.find(self._marks.name, old)):
            self._settle(mark)

    def _write(self, key: ObjectId, content: Content) -> int:
        self._erase(key)  # what a try before this one left
        content.seek(0)
        size = number = 0
        while piece := content.read(CHUNK_SIZE):
            self._database.check_room(len(piece))
            self._chunks.insert_one({"files_id": key, "n": number, "data": piece})
            size, number = size + len(piece), number + 1
        described = {"length": size, "chunkSize": CHUNK_SIZE, "uploadDate": utcnow()}
        self._files.insert_one({"_id": key, "filename": str(key), **described})
        return size

    def _settle(self, mark: Document) -> None:
        key, refers = mark["_id"], {"_id": mark["of"], self._field: mark["_id"]}
        if not self._database.call(self._owners.find_one, refers, {"_id": 1}):
            self._database.call(self._erase, key)
        self._database.call(self._marks.delete_one, {"_id": key})

    def _erase(self, key: ObjectId) -> None:
        self._files.delete_one({"_id": key})
        self._chunks.delete_many({"files_id": key})


class _BlobReader(RawIOBase):
    """Reads content chunk by chunk, and keeps the last one: readers ask for a few bytes at once."""

    def __init__(self, blobs: Blobs, key: ObjectId, size: int) -> None:
        self._blobs = blobs
        self._key = key
        self._size = size
        self._place = 0
        self._number, self._chunk = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        if self._place >= self._size:
            return 0
        number, start = divmod(self._place, CHUNK_SIZE)
        if number != self._number:
            self._number, self._chunk = number, self._blobs.chunk(self._key, number)
        piece = self._chunk[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)
