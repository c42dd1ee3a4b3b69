"""Content of any size in the database (GridFS), under keys that documents refer to.

Content appears with the document that refers to its key, and goes with it. As that takes more than
one write, a key is marked while they are made; what nothing refers to afterwards is deleted. A mark
whose server was killed is looked after by the next one that stores something, an hour later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO, Protocol, cast

from bson import ObjectId
from gridfs import GridFSBucket
from gridfs.errors import CorruptGridFile, NoFile

from jobserver.database import Database, translated
from jobserver.models.job import utcnow
from jobserver.sizes import MIB

#: Time after which the server that set a mark is taken to be gone.
MARKS_LAST = timedelta(hours=1)


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
        Their field that holds the key; it has an index.
    """

    def __init__(self, database: Database, owners: str, field: str) -> None:
        self._database = database
        self._owners = database[owners]
        self._field = field
        self._marks = database[f"{owners}.marks"]
        name = f"{owners}.content"
        self._bucket = GridFSBucket(self._owners.database, name, chunk_size_bytes=MIB)
        self._files, self._chunks = database[f"{name}.files"], database[f"{name}.chunks"]

    @contextmanager
    def settled(self, *keys: ObjectId) -> Iterator[None]:
        """Change what refers to some keys; afterwards those that nothing refers to are deleted."""
        self.clear()
        for key in keys:
            self._database.insert(self._marks.name, {"_id": key, "since": utcnow()})
        try:
            yield
        finally:
            for key in keys:
                self._settle(key)

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
            return self._database.call(lambda: self._bucket.open_download_stream(key).read())
        except (NoFile, CorruptGridFile):
            return None

    def pieces(self, key: ObjectId) -> Iterator[bytes]:
        """The content, piece by piece."""
        with translated():
            yield from self._bucket.open_download_stream(key)

    def open(self, key: ObjectId) -> BinaryIO:
        """The content as a file."""
        return cast(BinaryIO, self._database.call(self._bucket.open_download_stream, key))

    def clear(self) -> None:
        """Look after the marks of servers that are gone."""
        old = {"since": {"$lt": utcnow() - MARKS_LAST}}
        for mark in list(self._database.find(self._marks.name, old)):
            self._settle(mark["_id"])

    def _write(self, key: ObjectId, content: Content) -> int:
        self._erase(key)  # what a try before this one left
        content.seek(0)
        with self._bucket.open_upload_stream_with_id(key, str(key)) as file:
            file.write(content)
        return int(file.length)

    def _settle(self, key: ObjectId) -> None:
        if not self._database.call(self._owners.find_one, {self._field: key}, {"_id": 1}):
            self._database.call(self._erase, key)
        self._database.call(self._marks.delete_one, {"_id": key})

    def _erase(self, key: ObjectId) -> None:
        self._files.delete_one({"_id": key})
        self._chunks.delete_many({"files_id": key})
