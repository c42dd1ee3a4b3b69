"""Room on the disk: what is stored must leave enough for the embedded database to live on."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import psutil

from jobserver.errors import Unavailable
from jobserver.sizes import MIB, rounded_size

#: Bytes of a disk that clients cannot fill: a database without room to write breaks down. Of a
#: small disk it is this part.
RESERVE = 64 * MIB
_PART = 4
_REMEMBERED = 1000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,99}", re.ASCII)
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}


def check_room(folder: Path, size: int = 0) -> None:
    """See to it that so many bytes can be stored in a folder, and the reserve stays free.

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
    if disk.free - size < min(RESERVE, disk.total // _PART):
        raise Unavailable(
            f"The server's disk is almost full: {rounded_size(disk.free)} are left. Delete data "
            "files, or ask its administrator for room.",
            retry_after=60,
        )


def sync(file: IO[Any]) -> None:
    """Wait until all that was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk; not every system can."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def temporary_folder(use: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that goes with the block that it is made for; its name tells whose it is.

    Parameters
    ----------
    use : str
        What for, in a word.
    """
    prefix = f"{_ours()}{os.getpid()}-{use}-"
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)


def remove_abandoned() -> None:
    """Remove the folders of processes of this machine that are gone."""
    prefix = _ours()
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        number = path.name.removeprefix(prefix).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _ours() -> str:
    return f"jobserver-{socket.gethostname()}-"


def checksum(path: Path) -> tuple[str, int]:
    """SHA-256 of a file, and its size in bytes.

    A file is read again only when its size or the time of its last change differ.

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
    """Whether a name is one of a file: 1 to 100 harmless characters, and no device."""
    stem = name.split(".", maxsplit=1)[0].strip().lower()
    return bool(_NAME.fullmatch(name)) and name == name.rstrip(" .") and stem not in _DEVICES
