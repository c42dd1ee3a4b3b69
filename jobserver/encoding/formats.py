"""Show a stored result in the format a client asks for: JSON, csv, xlsx, Parquet, PNG...

Small results are stored values, large ones files (`jobserver.encoding.results`), which are read
piece by piece and never held in memory as a whole.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Self

import bson

from jobserver.encoding.arrays import plain, untagged
from jobserver.encoding.json_writer import bytes_json, dumps, table_json, text_json
from jobserver.encoding.parquet import write_parquet
from jobserver.encoding.results import BYTES, FILE_FORMATS, FILE_NAME, JSON, TABLE, TEXT, kind_of
from jobserver.encoding.table_columns import Readable, parse_table
from jobserver.encoding.table_file import Read, TableFile
from jobserver.encoding.tables import labelled_table
from jobserver.encoding.text import restore_keys
from jobserver.encoding.text_tables import write_text
from jobserver.encoding.workbooks import write_workbook
from jobserver.errors import UnsupportedType
from jobserver.sizes import MIB

#: Bytes read at once; a multiple of three for base64.
_PIECE = 3 * 2**18
#: Bytes of a binary file that stays in memory until it is sent.
_IN_MEMORY = 8 * MIB
_TABULAR = ("csv", "html", "txt")
#: Binary formats of tables. They take much time or memory to write: `execution.preview` does it.
BINARY_TABLES = {"xlsx": write_workbook, "parquet": write_parquet}
#: The file format of a small result: its stored value, in BSON.
VALUE = "value"
_TABLE = ("a table", ("json", *_TABULAR, *BINARY_TABLES))
#: Name of each kind of result, and its output formats.
_KINDS = {
    **dict.fromkeys(("dataframe", "series", "index", "ndarray"), _TABLE),
    "png": ("a picture", ("json", "png")),
    "text": ("a text", ("json", "txt")),
    "bytes": ("bytes", ("json", "bin")),
    "json": ("not a table", ("json",)),
}


@dataclass(frozen=True)
class File:
    """A result as a file.

    Attributes
    ----------
    kind : str
        See `jobserver.encoding.results.Encoded`.
    file_format : str
        One of `jobserver.encoding.results.FILE_FORMATS`, or `VALUE`.
    size : int
        Size in bytes.
    read : callable
        Returns a number of bytes from an offset.
    """

    kind: str
    file_format: str
    size: int
    read: Read

    @classmethod
    def of_value(cls, value: object) -> Self:
        """Return a small result, a stored value, as a file in the format `VALUE`."""
        encoded = bson.encode({"": value})
        return cls(
            kind_of(value), VALUE, len(encoded), lambda start, size: encoded[start : start + size]
        )

    def value(self) -> object:
        """Return the stored value of a file in the format `VALUE`."""
        return bson.decode(self.read(0, self.size))[""]

    def pieces(self) -> Iterator[bytes]:
        """Yield the content piece by piece."""
        for start in range(0, self.size, _PIECE):
            yield self.read(start, min(_PIECE, self.size - start))


def output_formats(result: object) -> tuple[str, ...]:
    """Return the formats that a stored result, or the `File` of a large one, can be shown in."""
    if not isinstance(result, File):
        return _KINDS[kind_of(labelled_table(result) or result)][1]
    return _KINDS["json" if result.file_format == JSON else result.kind][1]


def show_value(value: Any, output_format: str, *, typed: bool = False) -> Iterable[bytes]:
    """Return a small result in a format.

    Parameters
    ----------
    value : object
        The stored value.
    output_format : str
        ``json``, ``csv``, ``html``, ``txt``, ``xlsx``, ``parquet``, ``png`` or ``bin``.
    typed : bool
        Whether JSON has the type, dtype and shape of arrays.

    Raises
    ------
    UnsupportedType
        If it cannot be shown in this format.
    """
    table = None if output_format == "json" else labelled_table(value)
    kind = kind_of(table or value)
    _check_kind(kind, output_format)
    if output_format == "json":
        return [dumps(restore_keys(value) if typed else plain(value)) + b"\n"]
    if output_format in ("png", "bin"):
        return [value]
    if kind == "text":
        return [value.encode()]
    return _table(parse_table(table or value), output_format)


def show_file(file: File, output_format: str, *, typed: bool = False) -> Iterable[bytes]:
    """Return a large result in a format; see `show_value`."""
    if file.file_format == VALUE:
        return show_value(file.value(), output_format, typed=typed)
    _check_kind(file.kind, output_format)
    as_json = output_format == "json"
    if file.file_format == TABLE:
        table = TableFile(file.read, file.size)
        if as_json:
            return _line(table_json(table, restore_keys if typed else plain))
        return _table(table, output_format)
    if as_json and file.file_format == JSON:
        return _line(untagged(file.pieces(), typed=typed))
    if as_json:
        return _line(_JSON[file.file_format](file.pieces()))
    if file.file_format == JSON:
        raise UnsupportedType(
            "The table has too many columns or categories, or too long rows, to be shown as "
            f"{output_format}; ask for json."
        )
    return file.pieces()


def _table(table: Readable, output_format: str) -> Iterable[bytes]:
    if output_format in _TABULAR:
        return write_text(table, output_format)
    return _written(table, BINARY_TABLES[output_format])


def _written(table: Readable, write: Callable[[Readable, IO[bytes]], None]) -> Iterator[bytes]:
    """Write a whole file before its first piece, so that what it cannot hold is still refused."""
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        write(table, file)
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def describes_file(value: object) -> bool:
    """Whether something describes a file as in `jobserver.encoding.results.Kept`."""
    if not isinstance(value, Mapping):
        return False
    name, kind, file_format = (str(value.get(key)) for key in ("name", "kind", "form"))
    return bool(FILE_NAME.fullmatch(name)) and kind in _KINDS and file_format in FILE_FORMATS


def check_format(result: object, output_format: str) -> None:
    """Raise `UnsupportedType` if a stored value or a `File` cannot be shown in a format."""
    if isinstance(result, File):
        _check_kind(result.kind, output_format)
    else:
        _check_kind(kind_of(labelled_table(result) or result), output_format)


def _check_kind(kind: str, output_format: str) -> None:
    name, known = _KINDS[kind]
    if output_format not in known:
        only = " or ".join(known)
        raise UnsupportedType(
            f"The result is {name} and cannot be shown as {output_format}, only as {only}."
        )


def _line(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield from pieces
    yield b"\n"


_JSON = {
    TEXT: lambda pieces: text_json(codecs.iterdecode(pieces, "utf-8")),
    BYTES: bytes_json,
}
