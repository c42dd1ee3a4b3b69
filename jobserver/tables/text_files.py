"""Read text files, decompressed, and find the encoding.

Text is UTF-8 unless a byte order mark or the option ``encoding`` says otherwise. Other text is read
as Windows-1252, with a warning in the job's log.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, TypeVar

from jobserver.tables.compression import open_decompressed
from jobserver.tables.errors import UnreadableTable

T = TypeVar("T")

_HEAD = 64 * 1024
_BOMS = {  # the longest first: that of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSES = ("utf-8", "cp1252", "latin-1")
_log = logging.getLogger("jobserver")


def read_text_file(path: Path, options: Mapping[str, object], read: Callable[[TextIO], T]) -> T:
    """Read a text file with the first encoding that decodes all of it.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``encoding``, if known.
    read : callable
        Reads the opened file; called again with the next encoding if one fails.

    Raises
    ------
    UnreadableTable
        If it is not text, or a damaged compressed file.
    """
    for encoding in _encodings(path, options):
        try:
            with open_decompressed(path) as file, TextIOWrapper(file, encoding, newline="") as text:
                value = read(text)
        except UnicodeError:
            continue
        if encoding in _GUESSES[1:]:
            _log.warning("%s is not UTF-8; it was read as %s", path.name, encoding)
        return value
    raise UnreadableTable('is not in the encoding it seems to have: set "encoding"')


def first_lines(file: TextIO) -> str:
    """Return the complete lines at the start of a file, and rewind it."""
    head = file.read(_HEAD)
    file.seek(0)
    return head if len(head) < _HEAD or "\n" not in head else head[: head.rindex("\n") + 1]


def bom_encoding(head: bytes) -> str | None:
    """Return the encoding of a text's byte order mark; None without one."""
    found = (encoding for bom, encoding in _BOMS.items() if head.startswith(bom))
    return next(found, None)


def _encodings(path: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
    if "encoding" in options:
        return (options["encoding"],)
    with open_decompressed(path) as file:
        head = file.read(_HEAD)
    if encoding := bom_encoding(head):
        return (encoding,)
    if b"\0" in head:
        raise UnreadableTable('is not text, or in an unusual encoding: set "encoding"')
    return _GUESSES
