"""Files on disk: free space, durable writes, temporary folders, checksums, names."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import IO
from unicodedata import category, is_normalized

from jobserver.errors import Unavailable
from jobserver.sizes import MIB, rounded_size
from jobserver.system.process_tree import is_alive

#: Bytes of a disk that clients cannot fill, as the embedded database needs room to write; on a
#: small disk this fraction of it.
_RESERVE = 64 * MIB
_FRACTION = 4
_REMEMBERED = 1000
#: Characters of a file name; and bytes, as file systems allow them.
_LONGEST_NAME = 100
_LARGEST_NAME = 255
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}


def check_room(folder: Path, size: int = 0) -> None:
    """Raise if so many bytes cannot be stored in a folder without using the reserve.

    Parameters
    ----------
    size : int
        Bytes to be stored.

    Raises
    ------
    Unavailable
        If the disk is too full.
    """
    disk = shutil.disk_usage(folder)
    if disk.free - size < min(_RESERVE, disk.total // _FRACTION):
        raise Unavailable(
            f"The server's disk is almost full: {rounded_size(disk.free)} are left. Delete data "
            "files, or ask its administrator for more space.",
            retry_after=60,
        )


def sync(file: IO[str] | IO[bytes]) -> None:
    """Wait until everything written to a file is on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk, where the system supports that."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def temporary_folder(use: str) -> tempfile.TemporaryDirectory[str]:
    """Create a folder that is removed after the block; its name identifies this process.

    Parameters
    ----------
    use : str
        Its purpose, in a word.
    """
    prefix = f"{_prefix()}{os.getpid()}-{use}-"
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)


def remove_abandoned() -> None:
    """Remove the temporary folders of processes that are gone from this machine."""
    prefix = _prefix()
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        number = path.name.removeprefix(prefix).partition("-")[0]
        if number.isdigit() and not is_alive(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _prefix() -> str:
    return f"jobserver-{socket.gethostname()}-"


def checksum(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file, and its size in bytes.

    A file is read again only when its size or modification time changed.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    stat = path.stat()
    return _sum(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns), stat.st_size


@lru_cache(_REMEMBERED)
def _sum(path: str, _inode: int, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file_name(name: str) -> bool:
    """Whether a name is fit for a file.

    It has 1 to 100 letters and digits of any language, dots, spaces, ``_`` and ``-``, begins with
    a letter, a digit or ``_``, is in Unicode's form NFC, and is not the name of a device.
    """
    stem = name.split(".", maxsplit=1)[0].strip().lower()
    return (
        0 < len(name) <= _LONGEST_NAME
        and _is_letter(name[0])
        and all(_is_letter(each) or each in ". -" or category(each)[0] == "M" for each in name)
        and name == name.rstrip(" .")
        and stem not in _DEVICES
        and is_normalized("NFC", name)
        and len(name.encode()) <= _LARGEST_NAME
    )


def _is_letter(character: str) -> bool:
    return character == "_" or category(character)[0] == "L" or category(character) == "Nd"
