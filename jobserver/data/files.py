"""Data files: files with registered extensions, in a folder or in the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from pathlib import Path, PurePath
from typing import Protocol
from unicodedata import normalize

from bson import ObjectId

from jobserver.data.folder_storage import FolderStorage
from jobserver.data.gridfs_storage import GridfsStorage, file_key
from jobserver.errors import (
    Advised,
    BadRequest,
    Conflict,
    InvalidName,
    NotFound,
    TooLarge,
    UnsupportedType,
    similar_names,
)
from jobserver.home.settings import Settings
from jobserver.sizes import rounded_size
from jobserver.storage.blobs import Content, OpenFile
from jobserver.storage.database import Database, Document
from jobserver.system.disk import is_file_name
from jobserver.tables.options import Options, extension_of, option_problems, options_of

#: Registered extensions.
EXTENSIONS = tuple(
    """
    bz2 csv dat feather geojson gz h5 hdf5 jpeg jpg json nc nc4 npy npz parquet png tif tiff tsv
    txt xls xlsx xml xz yaml yml zip
    """.split()  # noqa: SIM905 - easier to read and to add to
)


def check_name(name: str, more: Sequence[str] = ()) -> None:
    """Check the name of a data file.

    Parameters
    ----------
    more : sequence of str
        Further extensions: the setting ``DATAFILE_EXTENSIONS``.

    Raises
    ------
    InvalidName
        If it is not a valid file name.
    UnsupportedType
        If its extension is not registered.
    """
    if not is_file_name(name):
        raise InvalidName(
            "A file name has 1 to 100 letters, digits, '.', '_', '-' and spaces, starts with a "
            "letter, a digit or '_', ends with an extension and is not the name of a device."
            + _hint(name)
        )
    known = (*EXTENSIONS, *more)
    if name.rpartition(".")[2].lower() not in known or "." not in name:
        raise UnsupportedType(f"Data files have one of these extensions: {', '.join(known)}.")


def _hint(name: str) -> str:
    """Return what a name must not hold, and one to use: without that, folders, or composed."""
    meant = normalize("NFC", PurePath(name).name)
    wrong = [each for each in meant if not is_file_name(f"_{each}_")]
    if wrong:
        kept = "".join(" " if each in wrong else each for each in meant)
        meant = " ".join(kept.split()).replace(" .", ".")
    if meant == name or not is_file_name(meant):
        return ""
    return f" {wrong[0]!r} is not allowed: use {meant}." if wrong else f" Did you mean {meant}?"


class KeptOptions:
    """The options kept with the files of an owner.

    Parameters
    ----------
    database : Database
        The database.
    owner : ObjectId, optional
        The user who owns the files.
    """

    def __init__(self, database: Database, owner: ObjectId | None = None) -> None:
        self._database = database
        self._owner = owner
        self._collection = database["datafiles.options"]

    def for_owner(self, owner: ObjectId) -> KeptOptions:
        """Return the options of a user's files."""
        return KeptOptions(self._database, owner)

    def get(self, name: str) -> dict[str, object]:
        """Return the options of a file; none if it has none."""
        found = self._database.call(self._collection.find_one, self._key(name))
        return found["options"] if found else {}

    def set(self, name: str, options: Options) -> None:
        """Keep options with a file instead of those it had; forget these if there are none."""
        key = self._key(name)
        if options:
            document = {**key, "options": dict(options)}
            self._database.check_room()
            self._database.call(self._collection.replace_one, key, document, upsert=True)
        else:
            self._database.call(self._collection.delete_one, key)

    def _key(self, name: str) -> dict[str, str]:
        return {"_id": file_key(name, self._owner)}


class Storage(Protocol):
    """Stores files under valid names.

    Attributes
    ----------
    shown : PurePath
        Folder of the files, as shown in answers.
    """

    shown: PurePath

    def for_owner(self, owner: ObjectId) -> Storage:
        """Return the storage of a user's files."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if there is none."""

    def names(self) -> Iterator[str]:
        """Yield all names in order; they may be invalid."""

    def add(self, name: str, content: Content) -> bool:
        """Store a file, completely or not at all; return False if its name is taken."""

    def remove(self, name: str) -> int:
        """Delete a file if it exists; return how many bytes that frees."""

    def open(self, name: str) -> OpenFile | None:
        """Open a file for reading; None if it does not exist."""

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """Provide the path of a file on the disk."""

    def clear(self) -> None:
        """Delete the remains of interrupted uploads."""


class DataFiles:
    """The data files of a home.

    Parameters
    ----------
    storage : Storage
        Their storage.
    options : KeptOptions
        How they are read.
    extensions : sequence of str
        Extensions beside `EXTENSIONS`.
    """

    def __init__(
        self, storage: Storage, options: KeptOptions, extensions: Sequence[str] = ()
    ) -> None:
        self._storage = storage
        self._options = options
        self._extensions = extensions

    def check_name(self, name: str) -> None:
        """Check the name of a file; see `check_name`."""
        check_name(name, self._extensions)

    @classmethod
    def from_settings(cls, database: Database, settings: Settings) -> DataFiles:
        """Return the data files in the storage named by ``DATAFILE_STORAGE``."""
        storage: Storage = FolderStorage(settings.data_path, settings.home)
        if settings.DATAFILE_STORAGE == "gridfs":
            storage = GridfsStorage(database)
        return cls(storage, KeptOptions(database), settings.DATAFILE_EXTENSIONS)

    def for_owner(self, owner: ObjectId | None) -> DataFiles:
        """Return a user's files; without a user those of a server without login."""
        if owner is None:
            return self
        own = self._storage.for_owner(owner), self._options.for_owner(owner)
        return DataFiles(*own, self._extensions)

    def clear(self) -> None:
        """Delete the remains of interrupted uploads."""
        self._storage.clear()

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file by name."""
        found = {name: self._storage.size(name) for name in self._storage.names()}
        return {name: size for name, size in found.items() if size is not None}

    def info(self, name: str) -> Document:
        """Return name, path and size of a file; `NotFound` if there is none."""
        self.check_name(name)
        if found := self._find(name):
            return self._info(*found)
        raise self._not_found(name)

    def described(self, name: str) -> Document:
        """Return `info` of a file, with the options kept with it, if any."""
        info = self.info(name)
        options = self._options.get(info["name"])
        return {**info, "options": options} if options else info

    def keep_options(self, name: str, options: Options) -> Document:
        """Keep options with a file, instead of those it had, and return `described`.

        Raises
        ------
        BadRequest
            If an option is unknown or invalid.
        NotFound
            If there is no such file.
        """
        if problems := list(option_problems(options, "options.", extension_of(name))):
            raise BadRequest("The options are invalid. Nothing was changed.", problems)
        self._options.set(self.info(name)["name"], options_of(options))
        return self.described(name)

    def list(self) -> Iterator[Document]:
        """Yield `info` of all files, by name."""
        for name in self._names():
            with suppress(NotFound):  # just deleted
                yield self.info(name)

    def open(self, name: str) -> OpenFile:
        """Open a file for reading; `NotFound` if there is none."""
        file = self._storage.open(self.info(name)["name"])
        if file is None:
            raise self._not_found(name)
        return file

    def as_file(self, name: str) -> AbstractContextManager[Path]:
        """Provide the absolute path of a file; `NotFound` if there is none."""
        return self._storage.as_file(self.info(name)["name"])

    def save(self, name: str, content: Content, limit: int) -> Document:
        """Store a new file, completely or not at all.

        Raises
        ------
        InvalidName, UnsupportedType
            If the name is invalid.
        Conflict
            If the name is taken.
        TooLarge
            If the content exceeds the limit in bytes.
        Unavailable
            If it cannot be stored now.
        """
        self.check_name(name)
        limited = _Limited(content, limit)
        if found := self._find(name):
            raise _taken(found[0])
        self._options.set(name, {})  # of a former file that was removed by hand
        if not self._storage.add(name, limited):
            raise _taken(name)
        return self._info(name, limited.size)

    def delete(self, name: str) -> int:
        """Delete a file and return how many bytes that frees; `NotFound` if there is none."""
        return self._remove(self.info(name)["name"])

    def delete_all(self) -> tuple[int, ...]:
        """Delete all data files and return how many bytes each frees."""
        names = [info["name"] for info in self.list()]
        return tuple(map(self._remove, names))

    def _names(self) -> Iterator[str]:
        for name in self._storage.names():
            with suppress(InvalidName, UnsupportedType):  # not ours
                self.check_name(name)
                yield name

    def _remove(self, name: str) -> int:
        freed = self._storage.remove(name)
        self._options.set(name, {})
        return freed

    def _find(self, name: str) -> tuple[str, int] | None:
        """Return stored name and size of a file, ignoring the case of its extension."""
        wanted = _with_lower_extension(name)
        similar = (one for one in self._storage.names() if _with_lower_extension(one) == wanted)
        for stored in chain([name], similar):
            size = self._storage.size(stored)
            if size is not None:
                return stored, size
        return None

    def _not_found(self, name: str) -> NotFound:
        close = similar_names(name, self._names())
        hint = f" Did you mean {close}?" if close else ""
        text = f"There is no data file {name}.{hint}"
        return NotFound(Advised(text, "GET /datafiles lists all data files."))

    def _info(self, name: str, size: int) -> Document:
        return {"name": name, "path": str(self._storage.shown / name), "size": rounded_size(size)}


class _Limited:
    """Content that must not exceed a limit when it is read."""

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


def _with_lower_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return stem + dot + extension.lower()


def _taken(name: str) -> Conflict:
    return Conflict(f"The file {name} already exists. Delete it first.")
