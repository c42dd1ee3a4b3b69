"""Data files in a folder."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import BinaryIO

from bson import ObjectId

from jobserver.errors import Unavailable
from jobserver.sizes import MIB
from jobserver.storage.blobs import Content, OpenFile
from jobserver.system.disk import check_room, sync, sync_folder

_PIECE = MIB
#: Parent of the users' folders; not a valid name of a data file.
USERS = "users"


class FolderStorage:
    """Stores data files in a folder; see `jobserver.data.files.Storage`.

    Parameters
    ----------
    path : Path
        The folder; created with the first file.
    home : Path
        Folder of the server; answers show paths relative to it.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self._path = path
        self.shown = path.relative_to(home) if path.is_relative_to(home) else PurePath("data")

    def for_owner(self, owner: ObjectId) -> FolderStorage:
        """Return the storage of a user's files; answers do not show its folder."""
        own = FolderStorage(self._path / USERS / str(owner), self._path)
        own.shown = self.shown
        return own

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if there is none, or for a link."""
        with suppress(FileNotFoundError, NotADirectoryError):
            found = (self._path / name).lstat()
            return found.st_size if stat.S_ISREG(found.st_mode) else None
        return None

    def names(self) -> Iterator[str]:
        """Yield the names of everything in the folder, in order."""
        if self._path.is_dir():
            yield from sorted(path.name for path in self._path.iterdir())

    def add(self, name: str, content: Content) -> bool:
        """Store a file; return False if its name is taken.

        Raises
        ------
        Unavailable
            If the disk is full or cannot be written.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with _partial_file(self._path) as (part, file):
                _copy(content, file, self._path)
                added = _link(part, self._path / name)
            sync_folder(self._path)
        except OSError as error:
            raise Unavailable(f"The file cannot be stored: {error.strerror}.") from error
        return added

    def remove(self, name: str) -> int:
        """Delete a file if it exists; return how many bytes that frees."""
        size = self.size(name) or 0
        try:
            (self._path / name).unlink()
        except FileNotFoundError:  # another request was faster
            return 0
        return size

    def open(self, name: str) -> OpenFile | None:
        """Open a file for reading; None if it does not exist."""
        try:
            file = (self._path / name).open("rb")
        except FileNotFoundError:
            return None
        found = os.fstat(file.fileno())
        tag = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return OpenFile(name, file, found.st_size, modified, tag)

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """Provide the path of a file."""
        yield self._path / name

    def clear(self) -> None:
        """Delete the remains of uploads that ended with their server."""
        for part in (*self._path.glob(".*.part"), *self._path.glob(f"{USERS}/*/.*.part")):
            with part.open("rb") as file, suppress(BlockingIOError):  # another server writes it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


@contextmanager
def _partial_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Provide a locked file for an upload, and delete it afterwards."""
    part = folder / f".{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield part, file
    finally:
        part.unlink(missing_ok=True)


def _copy(content: Content, file: BinaryIO, folder: Path) -> None:
    while piece := content.read(_PIECE):
        check_room(folder, len(piece))
        file.write(piece)
    sync(file)


def _link(part: Path, path: Path) -> bool:
    """Link a file under its final name; unlike renaming, this never replaces a file."""
    with suppress(FileExistsError):
        os.link(part, path)
        return True
    return False
