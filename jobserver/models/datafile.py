"""Data files: files of registered extensions in the folder of the server's data."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from jobserver.database import Document
from jobserver.errors import Conflict, InvalidName, NotFound, TooLarge, Unavailable, WrongType
from jobserver.sizes import MIB, rounded_size

#: Extensions of registered kinds of files.
EXTENSIONS = tuple(
    """
    csv dat geojson gz h5 hdf5 jpeg jpg json nc npy npz parquet png tif tiff tsv txt
    xls xlsx xml yaml yml zip
    """.split()  # noqa: SIM905 - easier to read and to add to
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,99}", re.ASCII)
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}
_PIECE = MIB


def check_name(name: str) -> None:
    """Refuse a name that is outside the rules.

    Raises
    ------
    InvalidName
        If it holds what a file name here may not.
    WrongType
        If its extension is not registered.
    """
    stem = name.split(".", maxsplit=1)[0].strip().lower()
    if not _NAME.fullmatch(name) or name != name.rstrip(" .") or stem in _DEVICES:
        raise InvalidName(
            "A file name has 1 to 100 letters, digits, '.', '_', '-' and spaces, starts with a "
            "letter, a digit or '_', ends in an extension and is not that of a device."
        )
    if name.rpartition(".")[2].lower() not in EXTENSIONS or "." not in name:
        raise WrongType(f"The extension of a data file is one of: {', '.join(EXTENSIONS)}.")


class DataFiles:
    """The data files of a home.

    Parameters
    ----------
    folder : Path
        Where they are; it is made when the first file comes.
    home : Path
        Folder of the server; answers name files relative to it.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._shown = folder.relative_to(home) if folder.is_relative_to(home) else Path("data")

    def remove_parts(self) -> None:
        """Remove what is left of uploads that the end of their server cut off."""
        for part in self.folder.glob(".*.part"):
            with part.open("rb") as file, suppress(BlockingIOError):  # another server is at it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()

    def info(self, name: str) -> Document:
        """Name, path relative to the home, and size of a file."""
        return self._info(name, self._size(name))

    def path(self, name: str) -> Path:
        """Absolute path of a file that exists."""
        self._size(name)
        return self.folder / name

    def list(self) -> Iterator[Document]:
        """`info` of all files, by name."""
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                with suppress(InvalidName, WrongType, NotFound):  # not ours, or gone meanwhile
                    yield self.info(path.name)

    def save(self, name: str, content: IO[bytes], limit: int) -> Document:
        """Store a new file, whole or not at all.

        Raises
        ------
        InvalidName, WrongType
            If the name is outside the rules.
        Conflict
            If there is one of that name.
        TooLarge
            If the content is over the limit (bytes).
        Unavailable
            If the disk is full or cannot be written.
        """
        check_name(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _part(self.folder) as (part, file):
                size = _copy(content, file, limit)
                _link(part, self.folder / name)
            _sync_folder(self.folder)
        except OSError as error:
            raise Unavailable(f"The file cannot be stored: {error.strerror}.") from error
        return self._info(name, size)

    def delete(self, name: str) -> None:
        """Delete a file; `NotFound` if there is none."""
        self._size(name)
        (self.folder / name).unlink(missing_ok=True)

    def delete_all(self) -> int:
        """Delete all data files; returns how many there were."""
        names = [info["name"] for info in self.list()]
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        return len(names)

    def _size(self, name: str) -> int:
        """Size of a file that exists, in bytes; links are none of ours."""
        check_name(name)
        with suppress(FileNotFoundError):
            found = (self.folder / name).lstat()
            if stat.S_ISREG(found.st_mode):
                return found.st_size
        raise NotFound(f"There is no data file {name}. GET /datafiles lists what there is.")

    def _info(self, name: str, size: int) -> Document:
        return {"name": name, "path": str(self._shown / name), "size": rounded_size(size)}


@contextmanager
def _part(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file to write to, locked as long as this server is at it, and gone afterwards."""
    part = folder / f".{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield part, file
    finally:
        part.unlink(missing_ok=True)


def _copy(content: IO[bytes], file: IO[bytes], limit: int) -> int:
    """Write the content to disk; returns its size in bytes."""
    size = 0
    while piece := content.read(_PIECE):
        size += len(piece)
        if size > limit:
            raise TooLarge(f"A data file has at most {rounded_size(limit)}.")
        file.write(piece)
    file.flush()
    os.fsync(file.fileno())
    return size


def _link(part: Path, path: Path) -> None:
    """Give a part its name; unlike a rename, it never replaces."""
    try:
        os.link(part, path)
    except FileExistsError as error:
        raise Conflict(f"There is a file {path.name} already. Delete it first.") from error


def _sync_folder(folder: Path) -> None:
    """Make a new name durable; not every system can."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
