"""Read compressed data files: gzip, bzip2, xz, and zip with a single member.

The first bytes show the compression, whatever the name. The exception is zip, also the container of
other formats: only files named ``.zip`` are unpacked. Nothing is unpacked to the disk.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from jobserver.sizes import GIB, KIB, MIB, exact_size
from jobserver.tables.errors import UnreadableTable, translated_errors

#: Largest content of a compressed file in bytes.
LARGEST = GIB
#: Extensions of compressed files.
EXTENSIONS = (".gz", ".bz2", ".xz", ".zip")

_ZIP = re.compile(rb"PK(\x03\x04|\x05\x06)")
_FORMATS: dict[str, tuple[re.Pattern[bytes], Callable[[BinaryIO], object]]] = {
    "gzip": (re.compile(rb"\x1f\x8b"), lambda raw: gzip.GzipFile(fileobj=raw)),
    "bzip2": (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2File),
    "xz": (re.compile(rb"\xfd7zXZ\0"), lzma.LZMAFile),
}
_HEAD = 16
_BUFFER = 64 * KIB
_END_OF_ZIP = b"PK\x05\x06"
_END_SIZE, _MAX_COMMENT = 22, 65_535
#: Largest list of members in bytes, about 15,000 of them; Python needs ten times as much memory.
_DIRECTORY = MIB


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a data file, decompressing it while it is read.

    Parameters
    ----------
    path : Path
        The file; one that is not compressed is opened as it is.

    Yields
    ------
    BinaryIO
        A file that can be rewound. Its methods raise `UnreadableTable`, too.

    Raises
    ------
    UnreadableTable
        If it is damaged, larger than `LARGEST`, or a zip file without exactly one member.
    """
    with cast(BinaryIO, path.open("rb", buffering=0)) as raw:  # a buffer copies all of a text again
        head = raw.read(_HEAD)
        raw.seek(0)
        if _ZIP.match(head):
            with _open_member(raw, path) as member:
                yield member
            return
        for name, (signature, decompress) in _FORMATS.items():
            if signature.match(head):
                with BufferedReader(_Limited(decompress(raw), name), _BUFFER) as file:
                    yield cast(BinaryIO, file)
                return
        yield raw


def inner_extension(path: Path) -> str:
    """Return a file's extension, in lower case and below that of its compression.

    Raises
    ------
    UnreadableTable
        If it is a zip file that is damaged or does not have exactly one member.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        return extension
    inner = PurePath(path.stem).suffix.lower()
    if extension == ".zip":
        with path.open("rb") as raw, open_zip(raw) as archive:
            inner = PurePath(_single_member(archive).filename).suffix.lower() or inner
    return inner or ".txt"


def compression(head: bytes) -> str | None:
    """Return the name of the compression of a file with these first bytes; None without one."""
    if _ZIP.match(head):
        return "zip"
    return next((name for name, (found, _) in _FORMATS.items() if found.match(head)), None)


@contextmanager
def open_zip(raw: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open a zip file after checking the size of its list of members.

    Raises
    ------
    UnreadableTable
        If it is damaged or has too many members.
    """
    _check_directory(raw)
    with translated_errors("a zip file"):
        archive = zipfile.ZipFile(raw)
    with archive:
        yield archive


def _check_directory(raw: BinaryIO) -> None:
    size = raw.seek(0, 2)
    raw.seek(max(0, size - _END_SIZE - _MAX_COMMENT))
    tail = raw.read()
    raw.seek(0)
    start = len(tail) - _END_SIZE
    if not tail.startswith(_END_OF_ZIP, start):  # otherwise a comment follows
        start = tail.rfind(_END_OF_ZIP)
    if start >= 0 and int.from_bytes(tail[start + 12 : start + 16], "little") > _DIRECTORY:
        raise UnreadableTable("has too many members: leave only the file that is to be read")


@contextmanager
def _open_member(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    if path.suffix.lower() != ".zip":
        raise UnreadableTable(
            "is a zip file: name it .zip to have it unpacked, or .xlsx if it is a workbook"
        )
    with open_zip(raw) as archive:
        member = _single_member(archive)
        if member.flag_bits & 1:
            raise UnreadableTable("is protected by a password: zip it without one")
        if member.file_size > LARGEST:
            raise _too_large()
        with translated_errors("a zip file of a usual compression"):
            opened = archive.open(member)
        with BufferedReader(_Limited(opened, "zip"), _BUFFER) as file:
            yield cast(BinaryIO, file)


def _single_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the only member, apart from folders and what macOS adds."""
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and not member.filename.startswith("__MACOSX/")
        and PurePath(member.filename).name != ".DS_Store"
    ]
    if len(members) == 1:
        return members[0]
    if not members:
        raise UnreadableTable("is a zip file without a file in it")
    names = ", ".join(member.filename[:60] for member in members[:5])
    more = ", ..." if len(members) > 5 else ""
    raise UnreadableTable(
        f"is a zip file with {len(members)} files ({names}{more}): leave only the one to be read"
    )


class _Limited(RawIOBase):
    """A decompressed file up to a size, with its errors translated."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with translated_errors(f"a {self._name} file"):
            piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        if self._file.tell() > LARGEST:
            raise _too_large()
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


def _too_large() -> UnreadableTable:
    return UnreadableTable(
        f"has more than {exact_size(LARGEST)} when it is decompressed: divide it, or annotate the "
        "script's first parameter as pathlib.Path to get the file itself"
    )
