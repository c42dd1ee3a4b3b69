"""Data files in the database, for hosts with a read-only or temporary disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from bson import ObjectId

from jobserver.errors import NotFound
from jobserver.storage.blobs import CHUNK_SIZE, Blobs, Content, OpenFile
from jobserver.storage.clock import new_id
from jobserver.storage.database import Database, Document
from jobserver.system.disk import temporary_folder


class GridfsStorage:
    """Stores data files in GridFS; see `jobserver.data.files.Storage`.

    A file exists once its name does: a document of the collection ``datafiles``, written last.

    Parameters
    ----------
    database : Database
        The database.
    owner : ObjectId, optional
        The user who owns the files.
    """

    shown = PurePath("gridfs")

    def __init__(self, database: Database, owner: ObjectId | None = None) -> None:
        self._database = database
        self._owner = owner
        self._names = database["datafiles"]
        self._blobs = Blobs(database, "datafiles", "file")

    def for_owner(self, owner: ObjectId) -> GridfsStorage:
        """Return the storage of a user's files."""
        return GridfsStorage(self._database, owner)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if there is none."""
        found = self._find(name)
        return found["size"] if found else None

    def names(self) -> Iterator[str]:
        """Yield all names in order."""
        own, order = {"owner": self._owner}, [("_id", 1)]
        for found in self._database.find("datafiles", own, projection=["_id"], sort=order):
            yield found["_id"].rpartition("/")[2]

    def add(self, name: str, content: Content) -> bool:
        """Store a file; return False if its name is taken."""
        key = new_id()
        with self._blobs.settled({key: self._key(name)}):
            size = self._blobs.save(key, content)
            entry = {"_id": self._key(name), "file": key, "size": size}
            if self._owner is not None:
                entry["owner"] = self._owner
            return self._database.insert("datafiles", entry)

    def remove(self, name: str) -> int:
        """Delete a file if it exists; return how many bytes that frees."""
        found = self._find(name)
        if not found:
            return 0
        with self._blobs.settled({found["file"]: found["_id"]}):
            done = self._database.call(self._names.delete_one, found)
        size: int = found["size"]
        return size if done.deleted_count else 0

    def open(self, name: str) -> OpenFile | None:
        """Open a file for reading; None if it does not exist."""
        found = self._find(name)
        if not found:
            return None
        key: ObjectId = found["file"]
        content = self._blobs.open(key)
        return OpenFile(name, content, found["size"], key.generation_time, str(key))

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """Provide the path of a copy."""
        found = self._find(name)
        if not found:
            raise NotFound(f"The data file {name} has been deleted.")
        with temporary_folder("data") as folder:
            path = Path(folder) / name
            with self._blobs.open(found["file"]) as content, path.open("wb") as file:
                shutil.copyfileobj(content, file, CHUNK_SIZE)
            yield path

    def clear(self) -> None:
        """Delete the remains of uploads that ended with their server."""
        self._blobs.clear()

    def _find(self, name: str) -> Document | None:
        return self._database.call(self._names.find_one, {"_id": self._key(name)})

    def _key(self, name: str) -> str:
        return file_key(name, self._owner)


def file_key(name: str, owner: ObjectId | None) -> str:
    """Return the id of a document about a user's file; no name contains a slash."""
    return name if owner is None else f"{owner}/{name}"
