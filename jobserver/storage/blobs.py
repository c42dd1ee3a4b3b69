"""Content of any size in the database, under keys that documents refer to.

It is stored as in GridFS, so that its tools find it. We read and write it ourselves, a piece at a
time: the driver's reader and writer keep dozens of megabytes in memory.

Content appears and disappears with the document that refers to its key. As that takes several
writes, a pending entry exists for the key meanwhile; content that nothing refers to afterwards is
deleted. An entry whose server was killed is settled by the next server that stores something, after
an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import SEEK_SET, BufferedReader, RawIOBase
from typing import TYPE_CHECKING, BinaryIO, Protocol

from bson import ObjectId

from jobserver.errors import NotFound
from jobserver.sizes import MIB
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_SIZE = MIB
#: Age of a pending entry after which its server counts as dead.
PENDING_AGE = timedelta(hours=1)
_DELETED = "The content was deleted with its document."


class Content(Protocol):
    """A binary file that can be read more than once."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, up to a number; none at the end."""

    def seek(self, offset: int, /) -> int:
        """Go to an offset."""


@dataclass(frozen=True)
class OpenFile:
    """A stored file that is open for reading.

    Attributes
    ----------
    content : BinaryIO
        The file.
    size : int
        In bytes.
    modified : datetime
        When it was stored, or changed by hand.
    tag : str
        Another one for each content.
    """

    name: str
    content: BinaryIO
    size: int
    modified: datetime
    tag: str


class Blobs:
    """The content that the documents of one collection refer to.

    Parameters
    ----------
    database : Database
        The database.
    owners : str
        Collection of the documents that refer to it.
    field : str
        Their field with the key.
    """

    def __init__(self, database: Database, owners: str, field: str) -> None:
        self._database = database
        self._owners = database[owners]
        self._field = field
        self._pending = database[f"{owners}.marks"]
        name = f"{owners}.content"
        self._files, self._chunks = database[f"{name}.files"], database[f"{name}.chunks"]

    @contextmanager
    def settled(self, owners: Mapping[ObjectId, object]) -> Iterator[None]:
        """Change references to some keys, and then delete content that nothing refers to.

        Parameters
        ----------
        owners : mapping
            Each key, and the id of the one document that may refer to it.
        """
        self.clear()
        entries = [{"_id": key, "of": owner, "since": utcnow()} for key, owner in owners.items()]
        for entry in entries:
            self._database.insert(self._pending.name, entry)
        try:
            yield
        finally:
            for entry in entries:
                self._settle(entry)

    def save(self, key: ObjectId, content: Content) -> int:
        """Store content under a pending key and return its size in bytes.

        Parameters
        ----------
        content : binary file
            Read from its start, and again if the connection breaks.
        """
        return self._database.call(self._write, key, content)

    def read(self, key: ObjectId) -> bytes | None:
        """Return the content; None if it does not exist."""
        try:
            return self.open(key).read()
        except NotFound:
            return None

    def open(self, key: ObjectId) -> BinaryIO:
        """Return the content as a seekable file; `NotFound` if there is none."""
        described = self._database.call(self._files.find_one, {"_id": key})
        if described is None:
            raise NotFound(_DELETED)
        return BufferedReader(_BlobReader(self, key, described["length"]))

    def chunk(self, key: ObjectId, number: int) -> bytes:
        """Return a chunk of `CHUNK_SIZE` bytes; the last one is shorter.

        Raises
        ------
        NotFound
            If it does not exist.
        """
        found = self._database.call(self._chunks.find_one, {"files_id": key, "n": number})
        if found is None:
            raise NotFound(_DELETED)
        return bytes(found["data"])

    def clear(self) -> None:
        """Settle the pending entries of dead servers."""
        old = {"since": {"$lt": utcnow() - PENDING_AGE}}
        for entry in list(self._database.find(self._pending.name, old)):
            self._settle(entry)

    def _write(self, key: ObjectId, content: Content) -> int:
        self._erase(key)  # remains of an earlier try
        content.seek(0)
        size = number = 0
        while piece := content.read(CHUNK_SIZE):
            self._database.check_room(len(piece))
            self._chunks.insert_one({"files_id": key, "n": number, "data": piece})
            size, number = size + len(piece), number + 1
        described = {"length": size, "chunkSize": CHUNK_SIZE, "uploadDate": utcnow()}
        self._files.insert_one({"_id": key, "filename": str(key), **described})
        return size

    def _settle(self, entry: Document) -> None:
        key, refers = entry["_id"], {"_id": entry["of"], self._field: entry["_id"]}
        if not self._database.call(self._owners.find_one, refers, {"_id": 1}):
            self._database.call(self._erase, key)
        self._database.call(self._pending.delete_one, {"_id": key})

    def _erase(self, key: ObjectId) -> None:
        self._files.delete_one({"_id": key})
        self._chunks.delete_many({"files_id": key})


class _BlobReader(RawIOBase):
    """Reads content chunk by chunk, and caches the last one for small reads."""

    def __init__(self, blobs: Blobs, key: ObjectId, size: int) -> None:
        self._blobs = blobs
        self._key = key
        self._size = size
        self._position = 0
        self._number, self._chunk = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._position >= self._size:
            return 0
        number, start = divmod(self._position, CHUNK_SIZE)
        if number != self._number:
            self._number, self._chunk = number, self._blobs.chunk(self._key, number)
        view = memoryview(buffer)
        piece = self._chunk[start : start + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
