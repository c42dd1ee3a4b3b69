"""Data files in a folder of the disk."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import BinaryIO

from bson import ObjectId

from jobserver.errors import Unavailable
from jobserver.sizes import MIB
from jobserver.storage.blobs import Content
from jobserver.system.disk import check_room, sync, sync_folder

_PIECE = MIB
#: Folder of the folders of users; no data file has a name like that.
USERS = "users"


class FolderStorage:
    """Keeps data files in a folder; see `jobserver.data.files.Storage`.

    Parameters
    ----------
    path : Path
        The folder; it is made when the first file comes.
    home : Path
        Folder of the server; answers name files relative to it.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self._path = path
        self.shown = path.relative_to(home) if path.is_relative_to(home) else PurePath("data")

    def for_owner(self, owner: ObjectId) -> FolderStorage:
        """The same for a user's own files; answers do not tell where they lie."""
        mine = FolderStorage(self._path / USERS / str(owner), self._path)
        mine.shown = self.shown
        return mine

    def size(self, name: str) -> int | None:
        """Size of a file in bytes; links are none of ours."""
        with suppress(FileNotFoundError, NotADirectoryError):
            found = (self._path / name).lstat()
            return found.st_size if stat.S_ISREG(found.st_mode) else None
        return None

    def names(self) -> Iterator[str]:
        """Names of all files, and of what else lies there, in order."""
        if self._path.is_dir():
            yield from sorted(path.name for path in self._path.iterdir())

    def add(self, name: str, content: Content) -> bool:
        """Store a file under a name that is free; False if it is taken.

        Raises
        ------
        Unavailable
            If the disk is full or cannot be written.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with _part(self._path) as (part, file):
                _copy(content, file, self._path)
                added = _link(part, self._path / name)
            sync_folder(self._path)
        except OSError as error:
            raise Unavailable(f"The file cannot be stored: {error.strerror}.") from error
        return added

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self._path / name).unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO | None:
        """A file to read; None if it is gone."""
        with suppress(FileNotFoundError):
            return (self._path / name).open("rb")
        return None

    @contextmanager
    def as_file(self, name: str) -> Iterator[Path]:
        """The path of a file, for a while."""
        yield self._path / name

    def clear(self) -> None:
        """Remove what is left of uploads that the end of their server cut off."""
        for part in (*self._path.glob(".*.part"), *self._path.glob(f"{USERS}/*/.*.part")):
            with part.open("rb") as file, suppress(BlockingIOError):  # another server is at it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


@contextmanager
def _part(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file to write to, locked as long as this server is at it, and gone afterwards."""
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
    """Give a part its name; unlike a rename, it never replaces."""
    with suppress(FileExistsError):
        os.link(part, path)
        return True
    return False
