"""Read text files: decompress them, and find their encoding.

Text is UTF-8 unless a byte order mark or the option ``encoding`` says otherwise. Other text is read
as Windows-1252, with a warning in the job's log.
"""

from __future__ import annotations

import codecs
import json
import logging
from pathlib import Path

from jobserver.tables.compression import open_decompressed
from jobserver.tables.errors import UnreadableTable
from jobserver.tables.options import Options

_BOMS = {  # the longest first: that of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSES = ("utf-8", "cp1252", "latin-1")
_log = logging.getLogger("jobserver")


def read_utf8(path: Path, options: Options) -> bytes:
    """Return a text file in UTF-8, without a byte order mark.

    Parameters
    ----------
    path : Path
        The file.
    options : mapping
        ``encoding``, if known.

    Raises
    ------
    UnreadableTable
        If it is not text, or damaged.
    """
    with open_decompressed(path) as file:
        content = file.read()
    if content.isascii() and b"\0" not in content and not options.get("encoding"):
        return content
    for encoding in _encodings(content, options):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if encoding in _GUESSES[1:]:
            _log.warning("%s is not UTF-8; it was read as %s", path.name, encoding)
        return content if encoding == "utf-8" else text.encode("utf-8", "replace")
    raise UnreadableTable('is not in the encoding it seems to have: set "encoding"')


def read_json(path: Path, options: Options) -> object:
    """Return the value in a JSON file; NaN and infinities are numbers.

    Raises
    ------
    UnreadableTable
        If it is not JSON.
    """
    try:
        return json.loads(read_utf8(path, options))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnreadableTable):
            raise
        raise UnreadableTable(f"is not valid JSON: {error}") from error


def _encodings(content: bytes, options: Options) -> tuple[str, ...]:
    if options.get("encoding"):
        return (options["encoding"],)
    found = next((encoding for bom, encoding in _BOMS.items() if content.startswith(bom)), None)
    if found:
        return (found,)
    if b"\0" in content:
        raise UnreadableTable('is not text, or in an unusual encoding: set "encoding"')
    return _GUESSES
