"""Show a data file as it is, or its rows as csv, JSON or HTML, piece by piece.

JSON is shown as JSON, or as the table in it: see `json_files`. Tables are shown as scripts get
them; one that is ambiguous is shown with its first row as the header.
"""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice, zip_longest
from pathlib import PurePath
from typing import BinaryIO, TextIO

import orjson

from jobserver.encoding.scalars import INT64
from jobserver.encoding.text_tables import TEXT_FORMATS
from jobserver.errors import UnsupportedType
from jobserver.tables.dialect import AmbiguousTable, Dialect, infer
from jobserver.tables.json_files import read_rows, read_strict_json
from jobserver.tables.text_files import bom_encoding, first_lines

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
_TABLES, _JSON = (".csv", ".tsv", ".dat", ".txt"), (".json", ".geojson")
_PIECE = 256 * 1024
#: Not `007`, nor more digits than an integer: those are names made of digits.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBER = re.compile(r"nan|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


def content(file: BinaryIO, name: str, output_format: str) -> Iterator[bytes]:
    """Return a file's content in a format, piece by piece.

    Parameters
    ----------
    file : binary file
        The file; closed at its end.
    name : str
        Its name.
    output_format : str
        ``csv``, ``json``, ``html`` or ``txt``. As ``json`` a table is a list of objects, one for
        each row, with numbers as numbers; empty cells, NaN and infinities are null.

    Raises
    ------
    UnsupportedType
        If a file of this kind cannot be shown in this format, or is not a table.
    """
    kind = PurePath(name).suffix.lower()
    if output_format == "txt" or (output_format == "csv" and kind == ".csv"):
        return _pieces(file)
    if kind not in (*_TABLES, *_JSON):
        file.close()
        raise UnsupportedType(f"A {kind[1:]} file cannot be shown as {output_format}, only as txt.")
    show = _show_json if kind in _JSON else _show_table
    pieces = show(file, output_format)
    return chain(list(islice(pieces, 1)), pieces)  # most errors occur before the first piece


def _show_json(file: BinaryIO, output_format: str) -> Iterator[bytes]:
    with file:
        if output_format != "json":
            names, rows = read_rows(file)
            yield from _join(_WRITERS[output_format](_Table(names, rows, ".")))
        elif (text := read_strict_json(file)) is not None:
            yield text
        else:
            yield from _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


@dataclass(frozen=True)
class _Table:
    """The rows of a file and the names of its columns, if there are any."""

    names: list[str]
    rows: Iterator[list[str]]
    decimal: str


def _show_table(file: BinaryIO, output_format: str) -> Iterator[bytes]:
    with file:
        encoding = bom_encoding(file.read(4)) or "utf-8"
        file.seek(0)
        with TextIOWrapper(file, encoding, errors=_WINDOWS, newline="") as text:
            yield from _join(_WRITERS[output_format](_table(text)))


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 as Windows-1252."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_WINDOWS = "jobserver.windows"
codecs.register_error(_WINDOWS, _as_windows)


def _table(text: TextIO) -> _Table:
    dialect = _dialect(first_lines(text))
    for _ in range(dialect.skipped):
        text.readline()
    rows = _rows(text, dialect.separator)
    names = next(rows, []) if dialect.header == () else list(dialect.header or ())
    if dialect.surplus == "label":
        names = ["", *names]
    elif dialect.surplus == "end":
        rows = (row if row[-1] else row[:-1] for row in rows)
    return _Table(names, rows, dialect.decimal)


def _dialect(head: str) -> Dialect:
    try:
        return infer(head, {})
    except AmbiguousTable:
        return Dialect(_separator(head), ".", (), 0)


def _rows(text: TextIO, separator: str) -> Iterator[list[str]]:
    lines = (" ".join(line.split()) + "\n" for line in text) if separator == " " else text
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        raise UnsupportedType(
            f"The file is not a table: {error} in line {reader.line_num}. Show it as txt."
        ) from error


def _separator(head: str) -> str:
    """Return the most likely separator: the one that is most frequent in the first line."""
    line = head.partition("\n")[0]
    return max(",;\t|", key=lambda character: (line.count(character), character == ","))


def _as_text(output_format: str) -> Callable[[_Table], Iterator[bytes]]:
    """Return a writer of csv or HTML."""
    writer = TEXT_FORMATS[output_format]

    def escape(row: list[str]) -> list[str]:
        return [writer.escape(cell or None) for cell in row]

    def write(table: _Table) -> Iterator[bytes]:
        yield writer.begin([escape(table.names)] if table.names else []).encode()
        for row in table.rows:
            yield writer.rows([escape(row)]).encode()
        yield writer.after.encode()

    return write


def _as_json(table: _Table) -> Iterator[bytes]:
    """Yield a list with an object for each row."""
    names = _names(table.names)
    separator = b"["
    for row in table.rows:
        if len(row) > len(names):
            names = _names(names + [""] * (len(row) - len(names)))
        values = (_value(cell, table.decimal) for cell in row)
        yield separator + orjson.dumps(dict(zip_longest(names, values)))
        separator = b",\n"
    yield b"]" if separator != b"[" else b"[]"


def _names(header: list[str]) -> list[str]:
    """Return a unique name for each column, so that no cell is lost."""
    names: dict[str, None] = {}
    for number, cell in enumerate(header, 1):
        name = cell or f"column {number}"
        while name in names:
            name += "'"
        names[name] = None
    return list(names)


def _value(cell: str, decimal: str) -> int | float | str | None:
    if not cell or _NO_NUMBER.fullmatch(cell):
        return None
    if _INTEGER.fullmatch(cell) and int(cell) in INT64:
        return int(cell)
    text = cell if decimal == "." else cell.replace(decimal, ".")
    if _REAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return cell


def _join(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: sending each one costs time."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


_WRITERS = {"csv": _as_text("csv"), "json": _as_json, "html": _as_text("html")}
