"""Data files: files of registered extensions, in a folder or in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol

from bson import ObjectId

from jobserver.data.folder_storage import FolderStorage
from jobserver.data.gridfs_storage import GridfsStorage
from jobserver.errors import Conflict, InvalidName, NotFound, TooLarge, UnsupportedType
from jobserver.home.settings import Settings
from jobserver.sizes import rounded_size
from jobserver.storage.blobs import Content
from jobserver.storage.database import Database, Document
from jobserver.system.disk import is_file_name

#: Extensions of registered kinds of files.
EXTENSIONS = tuple(
    """
    csv dat geojson gz h5 hdf5 jpeg jpg json nc npy npz parquet png tif tiff tsv txt
    xls xlsx xml yaml yml zip
    """.split()  # noqa: SIM905 - easier to read and to add to
)


def check_name(name: str) -> None:
    """Refuse a name that is outside the rules.

    Raises
    ------
    InvalidName
        If it holds what a file name here may not.
    UnsupportedType
        If its extension is not registered.
    """
    if not is_file_name(name):
        raise InvalidName(
            "A file name has 1 to 100 letters, digits, '.', '_', '-' and spaces, starts with a "
            "letter, a digit or '_', ends in an extension and is not that of a device."
        )
    if name.rpartition(".")[2].lower() not in EXTENSIONS or "." not in name:
        raise UnsupportedType(f"The extension of a data file is one of: {', '.join(EXTENSIONS)}.")


class Storage(Protocol):
    """Keeps files under names that were checked.

    Attributes
    ----------
    shown : PurePath
        What stands before a file's name in answers.
    """

    shown: PurePath

    def for_owner(self, owner: ObjectId) -> Storage:
        """The same for a user's own files."""

    def size(self, name: str) -> int | None:
        """Size of a file in bytes; None if there is none."""

    def names(self) -> Iterator[str]:
        """Names of all files, in order; those outside the rules are left out later."""

    def add(self, name: str, content: Content) -> bool:
        """Store a file, whole or not at all; False if its name is taken."""

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""

    def open(self, name: str) -> BinaryIO | None:
        """A file to read; None if it is gone."""

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """A path of a file on the disk, for a while."""

    def clear(self) -> None:
        """Remove what is left of uploads that were cut off."""


class DataFiles:
    """The data files of a home.

    Parameters
    ----------
    storage : Storage
        Where they are kept.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @classmethod
    def from_settings(cls, database: Database, settings: Settings) -> DataFiles:
        """The data files where the setting ``DATAFILE_STORAGE`` says."""
        if settings.DATAFILE_STORAGE == "gridfs":
            return cls(GridfsStorage(database))
        return cls(FolderStorage(settings.data_path, settings.home))

    def of_owner(self, owner: ObjectId | None) -> DataFiles:
        """A user's own files; nobody's are those of a server without login."""
        return self if owner is None else DataFiles(self._storage.for_owner(owner))

    def clear(self) -> None:
        """Remove what is left of uploads that were cut off."""
        self._storage.clear()

    def sizes(self) -> dict[str, int]:
        """Name and size in bytes of each file."""
        found = {name: self._storage.size(name) for name in self._storage.names()}
        return {name: size for name, size in found.items() if size is not None}

    def info(self, name: str) -> Document:
        """Name, path relative to the home, and size of a file; `NotFound` if there is none."""
        check_name(name)
        if found := self._find(name):
            return self._info(*found)
        raise _not_found(name)

    def list(self) -> Iterator[Document]:
        """`info` of all files, by name."""
        for name in self._storage.names():
            with suppress(InvalidName, UnsupportedType, NotFound):  # not ours, or gone meanwhile
                yield self.info(name)

    def open(self, name: str) -> BinaryIO:
        """A file to read; `NotFound` if there is none."""
        file = self._storage.open(self.info(name)["name"])
        if file is None:
            raise _not_found(name)
        return file

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """The absolute path of a file, for a while; `NotFound` if there is none."""
        return self._storage.as_file(self.info(name)["name"])

    def save(self, name: str, content: Content, limit: int) -> Document:
        """Store a new file, whole or not at all.

        Raises
        ------
        InvalidName, UnsupportedType
            If the name is outside the rules.
        Conflict
            If there is one of that name.
        TooLarge
            If the content is over the limit (bytes).
        Unavailable
            If it cannot be stored now.
        """
        check_name(name)
        limited = _Limited(content, limit)
        if found := self._find(name):
            raise _taken(found[0])
        if not self._storage.add(name, limited):
            raise _taken(name)
        return self._info(name, limited.size)

    def delete(self, name: str) -> None:
        """Delete a file; `NotFound` if there is none."""
        self._storage.remove(self.info(name)["name"])

    def delete_all(self) -> int:
        """Delete all data files; returns how many there were."""
        names = [info["name"] for info in self.list()]
        for name in names:
            self._storage.remove(name)
        return len(names)

    def _find(self, name: str) -> tuple[str, int] | None:
        """Stored name and size of a file: the case of its extension does not matter."""
        wanted = _with_small_extension(name)
        alike = (one for one in self._storage.names() if _with_small_extension(one) == wanted)
        for stored in chain([name], alike):
            size = self._storage.size(stored)
            if size is not None:
                return stored, size
        return None

    def _info(self, name: str, size: int) -> Document:
        return {"name": name, "path": str(self._storage.shown / name), "size": rounded_size(size)}


class _Limited:
    """Content that is counted while it is read; too much of it is refused."""

    def __init__(self, content: Content, limit: int) -> None:
        self._content = content
        self._limit = limit
        self.size = 0

    def seek(self, offset: int) -> int:
        self.size = offset
        return self._content.seek(offset)

    def read(self, size: int) -> bytes:
        piece = self._content.read(size)
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"A data file has at most {rounded_size(self._limit)}.")
        return piece


def _with_small_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return stem + dot + extension.lower()


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a file {name} already. Delete it first.")


def _not_found(name: str) -> NotFound:
    return NotFound(f"There is no data file {name}. GET /datafiles lists what there is.")
