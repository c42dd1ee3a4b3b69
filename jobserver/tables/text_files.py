"""Read text files: decompress them, and find their encoding.

Text is UTF-8 unless a byte order mark or the option ``encoding`` says otherwise. Other text is read
as Windows-1252, with a warning in the job's log.
"""

from __future__ import annotations

import codecs
import json
import logging
from collections import Counter
from pathlib import Path

from jobserver.sizes import KIB
from jobserver.tables.compression import open_decompressed
from jobserver.tables.errors import UnreadableTable, abridged
from jobserver.tables.options import Options, advise

_BOMS = {  # the longest first: that of UTF-32 starts like that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_GUESSES = ("utf-8", "cp1252", "latin-1")
#: Characters of which a table has some, and those of which a text has none.
_USUAL = frozenset("0123456789,;\t\n")
_CONTROLS = [chr(n) for n in range(1, 32) if chr(n) not in "\t\n\v\f\r\x1a"]
_HEAD = 64 * KIB
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
        if options.get("encoding"):
            _check_encoding(content, text, encoding)
        elif encoding in _GUESSES[1:]:
            _log.warning(
                '%s is not UTF-8; it was read as %s: if that is right, "encoding": "%s" says so',
                *(path.name, encoding, encoding),
            )
        return content if encoding == "utf-8" else text.encode("utf-8", "replace")
    raise UnreadableTable(
        f"is not in {_encodings(content, options)[0]}: {_advise_encoding(content)}"
    )


def read_json(path: Path, options: Options) -> object:
    """Return the value in a JSON file; NaN and infinities are numbers.

    Raises
    ------
    UnreadableTable
        If it is not JSON, or an object in it has a key twice.
    """
    try:
        return json.loads(read_utf8(path, options), object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise UnreadableTable(
            f"is not valid JSON: see line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise UnreadableTable("is not valid JSON: its lists and objects are too deep") from error
    except ValueError as error:
        if isinstance(error, UnreadableTable):
            raise
        raise UnreadableTable("is not valid JSON: a number in it has too many digits") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise UnreadableTable(
            f"has the key {json.dumps(abridged(key), ensure_ascii=False)} more than once in an "
            "object: keep one of them"
        )
    return value


def _encodings(content: bytes, options: Options) -> tuple[str, ...]:
    if options.get("encoding"):
        return (options["encoding"],)
    found = next((encoding for bom, encoding in _BOMS.items() if content.startswith(bom)), None)
    if found:
        return (found,)
    if b"\0" in content:
        raise UnreadableTable(
            f"is not text, or in an unusual encoding: {_advise_encoding(content)}"
        )
    return _GUESSES


def _check_encoding(content: bytes, text: str, encoding: str) -> None:
    """Check that an encoding which a job sets makes text: most make something of any bytes.

    Raises
    ------
    UnreadableTable
        If the text lacks all characters of a table, or has many that no text has.
    """
    head = text[:_HEAD]
    control = sum(map(head.count, _CONTROLS))
    if "\0" in head or 20 * control > len(head) or (head and not _USUAL & set(head)):
        raise UnreadableTable(f"is not text in {encoding}: {_advise_encoding(content)}")


def _advise_encoding(content: bytes) -> str:
    """Return the encoding that a text may have: in UTF-16 about every second byte is zero."""
    if b"\0" in content and not content.startswith(tuple(_BOMS)):
        first, second = content[::2].count(0), content[1::2].count(0)
        return advise({"encoding": "utf-16-be" if first > second else "utf-16-le"})
    return f'leave out "encoding", or {advise({"encoding": "latin-1"})} or another one'
