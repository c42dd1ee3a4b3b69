"""Checksums of files: what tells whether a script or its data is still the same."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_REMEMBERED = 1000


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
