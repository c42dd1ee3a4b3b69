"""Files of text: unpacked where they are packed with gzip, decoded by the encoding that fits.

Text is UTF-8 unless a mark at its start or the option ``encoding`` says otherwise. What is no UTF-8
is taken for Windows-1252, and the job's log says so.
"""

from __future__ import annotations

import codecs
import gzip
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, TextIO, TypeVar, cast

T = TypeVar("T")

_HEAD = 64 * 1024
_GZIP = b"\x1f\x8b"
_MARKS = {  # the longest first: the mark of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSES = ("utf-8", "cp1252", "latin-1")
_log = logging.getLogger("jobserver")


class UnreadableTable(ValueError):
    """A file that cannot be read; the message says why and what to do."""


def decoded(path: Path, options: Mapping[str, Any], read: Callable[[TextIO], T]) -> T:
    """Read a file of text, with the first encoding that fits all of it.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``encoding`` where it is known.
    read : callable
        Gets the file, opened; called again with the next encoding where one does not fit.

    Raises
    ------
    UnreadableTable
        If it is no text, or what packs it is broken.
    """
    for encoding in _encodings(path, options):
        try:
            with _unpacked(path) as file, TextIOWrapper(file, encoding, newline="") as text:
                value = read(text)
        except UnicodeError:
            continue
        if encoding in _GUESSES[1:]:
            _log.warning("%s is not UTF-8; it was read as %s", path.name, encoding)
        return value
    raise UnreadableTable('is not of the encoding that it seems to have: name it as "encoding"')


def first_lines(file: TextIO) -> str:
    """The lines at the start of a file, as far as they are whole; it stands at its start again."""
    head = file.read(_HEAD)
    file.seek(0)
    return head if len(head) < _HEAD or "\n" not in head else head[: head.rindex("\n") + 1]


def marked_encoding(head: bytes) -> str | None:
    """The encoding that the mark at the start of a text tells; None where there is no mark."""
    found = (encoding for mark, encoding in _MARKS.items() if head.startswith(mark))
    return next(found, None)


def _encodings(path: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
    if "encoding" in options:
        return (options["encoding"],)
    with _unpacked(path) as file:
        head = file.read(_HEAD)
    if encoding := marked_encoding(head):
        return (encoding,)
    if b"\0" in head:
        raise UnreadableTable('is no text, or of an encoding that has to be named as "encoding"')
    return _GUESSES


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableTable("is packed with gzip, but broken") from error
