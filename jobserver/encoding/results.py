"""Encode what a script returns, and store it as a value or, if it is large, as a file.

JSON-like values stay unchanged. Values that BSON lacks become the nearest that it has
(`jobserver.encoding.scalars`), tables documents (`jobserver.encoding.tables`), figures PNG, and
anything else its ``str``, with a warning.

Small results travel in a message and are stored in the job's document. Large ones are written to a
file piece by piece while they are encoded, so that memory never holds a second copy.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import bson
from bson.int64 import Int64
from bson.timestamp import Timestamp

from jobserver.encoding.encoder import Encoder
from jobserver.encoding.json_writer import is_light, value_json
from jobserver.encoding.table_columns import CELLS, ColumnTable, parse_table
from jobserver.encoding.table_file import TableTooWide, write_table
from jobserver.encoding.tables import decode_table, is_table
from jobserver.encoding.text import text_of, time_of, unescape_key
from jobserver.errors import BadRequest, TooLarge, Unavailable, UnsupportedType
from jobserver.sizes import MIB, exact_size

#: File formats: a table by columns, JSON, text in UTF-8, and raw bytes.
TABLE, JSON, TEXT, BYTES = FILE_FORMATS = ("table", "json", "text", "bytes")
FILE_NAME = re.compile(r"result-\w{1,30}", re.ASCII)
#: Fields of what stands for a large result in its job.
LINK = {"type", "size", "href"}
#: Minimum bytes of a value in BSON: its type, its key and the key's end.
_LEAST = 3
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Encoded:
    """A result as it is stored.

    Attributes
    ----------
    value : object
        Made of dict, list, str, int (64 bits), float, bool, None, datetime (UTC, without zone),
        `bson.Timestamp` (a time with microseconds) and bytes. `restore_keys` unescapes the keys.
    kind : str
        ``dataframe``, ``series``, ``index``, ``ndarray``, ``png``, ``bytes``, ``text`` or
        ``json``.
    warnings : tuple of str
        What could not be kept unchanged, and what to return instead.
    """

    value: Any
    kind: str
    warnings: tuple[str, ...] = ()


def encode_result(value: object) -> Encoded:
    """Encode what a script returned for the database.

    Parameters
    ----------
    value : object
        Anything. An iterator is not consumed, as it may never end.

    Raises
    ------
    JobserverError
        If it contains itself or is nested too deep for the database.
    """
    encoder = Encoder()
    encoded = encoder.encode(value)
    return Encoded(encoded, kind_of(encoded), tuple(encoder.warnings))


def decode_result(value: object, *, tables: bool = True) -> Any:
    """Decode a stored value: its tables and arrays become those of pandas and numpy.

    Parameters
    ----------
    value : object
        An encoded value.
    tables : bool
        False to leave tables as documents.
    """
    if isinstance(value, dict):
        if tables and is_table(value):
            document = decode_result(value, tables=False)
            try:
                return decode_table(document)
            except BadRequest:  # it only resembles a table
                return document
        return {unescape_key(key): decode_result(v, tables=tables) for key, v in value.items()}
    if isinstance(value, list):
        return [decode_result(item, tables=tables) for item in value]
    if isinstance(value, Timestamp):
        return time_of(value)
    return int(value) if isinstance(value, Int64) else value


def encoded_size(value: object) -> int:
    """Return the size of a stored value in BSON, as a field of a document."""
    return len(bson.encode({"": value}))


def kind_of(value: object) -> str:
    """Return the kind of a stored value or `ColumnTable`; see `Encoded`."""
    if isinstance(value, ColumnTable):
        return str(value.head["type"])
    if is_table(value):
        return str(value["type"])
    if isinstance(value, bytes):
        return "png" if value.startswith(_PNG) else "bytes"
    return "text" if isinstance(value, str) else "json"


@dataclass(frozen=True)
class Kept:
    """A result, ready to leave its process.

    Attributes
    ----------
    value : object
        A small result; see `Encoded`.
    file : dict or None
        For a large result ``name`` in the folder, ``kind`` (see `Encoded`) and ``form`` (one of
        `FILE_FORMATS`).
    warnings : list of str
        What could not be kept unchanged.
    """

    value: object
    file: dict[str, str] | None
    warnings: list[str]


def store_result(
    value: object,
    folder: Path,
    small: int,
    limit: int,
    text: Callable[[object], str] = text_of,
) -> Kept:
    """Encode a result, and write it to a file if it is large, or looks like the link to one.

    Parameters
    ----------
    value : object
        What the script returned.
    folder : Path
        Folder of the file.
    small : int
        Maximum bytes of a result without a file.
    limit : int
        Maximum bytes of a file.
    text : callable
        Returns the text of an object that has no other form.

    Raises
    ------
    TooLarge
        If the file would exceed the limit; the message has its size.
    Unavailable
        If it cannot be written.
    JobserverError
        If the result contains itself or is nested too deep.
    """
    encoder = Encoder(largest=CELLS, text=text)
    stored = encoder.encode(value)
    is_link = isinstance(stored, dict) and stored.keys() == LINK
    if not is_link and is_light(stored, small // _LEAST):
        whole = _filled(stored)
        if encoded_size(whole) <= small:
            return Kept(whole, None, encoder.warnings)
    with _new_file(folder, limit) as file:
        file_format = _write(stored, file)
    described = {"name": file.name, "kind": kind_of(stored), "form": file_format}
    return Kept(None, described, encoder.warnings)


def _filled(value: object) -> object:
    """Return a value with each `ColumnTable` replaced by its stored document."""
    if isinstance(value, ColumnTable):
        return value.stored()
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list) and not {dict, list, ColumnTable}.isdisjoint(map(type, value)):
        return [_filled(item) for item in value]
    return value


class _File:
    """A file that stops writing at a limit, but counts the bytes beyond it."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self.name = Path(file.name).name
        self.size = 0
        self._file = file
        self._limit = limit

    def write(self, data: bytes) -> int:
        """Write some bytes, or only count them."""
        self.size += len(data)
        if self.size <= self._limit:
            self._file.write(data)
        return len(data)

    def restart(self) -> None:
        """Discard what was written."""
        self.size = 0
        self._file.seek(0)
        self._file.truncate()


@contextmanager
def _new_file(folder: Path, limit: int) -> Iterator[_File]:
    try:
        with tempfile.NamedTemporaryFile(
            prefix="result-", dir=folder, delete=False, buffering=MIB
        ) as opened:
            file = _File(opened, limit)
            yield file
    except OSError as error:
        raise Unavailable(f"the result cannot be written: {error.strerror}") from error
    if file.size > limit:
        raise TooLarge(f"the result has {file.size} bytes; at most {exact_size(limit)} can be kept")


def _write(stored: object, file: _File) -> str:
    """Write a stored value and return the file format."""
    if isinstance(stored, bytes):
        file.write(stored)
        return BYTES
    if isinstance(stored, str):
        for start in range(0, len(stored), MIB):
            file.write(stored[start : start + MIB].encode())
        return TEXT
    try:
        if table := _as_table(stored):
            write_table(table, file)
            return TABLE
    except TableTooWide:
        file.restart()
    for piece in value_json(stored):
        file.write(piece)
    return JSON


def _as_table(stored: object) -> ColumnTable | None:
    if isinstance(stored, ColumnTable):
        return stored
    try:
        return parse_table(stored) if is_table(stored) else None
    except UnsupportedType:  # it only resembles a table
        return None
