"""Showing a data file: as it is, or its rows as CSV, JSON or HTML, piece by piece.

JSON is shown as what it is, or as the table that it holds: see `json_files`. A table
is shown as scripts get it, where that is sure; where it is not, it is shown all the same, with the
first row as its header.
"""

from __future__ import annotations

import codecs
import csv
import html
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice, zip_longest
from pathlib import PurePath
from typing import BinaryIO, TextIO

import orjson

from jobserver.errors import UnsupportedType
from jobserver.tables.dialect import AmbiguousTable, Dialect, infer
from jobserver.tables.json_files import rows_of, strictly
from jobserver.tables.text_files import first_lines, marked_encoding

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
_TABLES, _JSON = (".csv", ".tsv", ".dat", ".txt"), (".json", ".geojson")
_PIECE = 256 * 1024
#: Not `007`, nor more digits than an integer has: those are names made of digits.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", re.ASCII)
_NO_NUMBER = re.compile(r"nan|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_INT64 = range(-(2**63), 2**63)


def content(file: BinaryIO, name: str, form: str) -> Iterator[bytes]:
    """A file's content in a format, piece by piece.

    Parameters
    ----------
    file : binary file
        The file; it is closed when all is read.
    name : str
        Its name.
    form : str
        ``csv``, ``json``, ``html`` or ``txt``. As ``json`` a table is a list of objects, one for
        each row, with numbers as numbers; empty cells, NaN and infinities are null.

    Raises
    ------
    UnsupportedType
        If a file of this kind has no such form, or holds no table.
    """
    kind = PurePath(name).suffix.lower()
    if form == "txt" or (form == "csv" and kind == ".csv"):
        return _pieces(file)
    if kind not in (*_TABLES, *_JSON):
        file.close()
        raise UnsupportedType(f"A {kind[1:]} file cannot be shown as {form}, only as txt.")
    pieces = _json_pieces(file, form) if kind in _JSON else _joined(_written(file, form))
    return chain(list(islice(pieces, 1)), pieces)  # what does not fit mostly shows at once


def _json_pieces(file: BinaryIO, form: str) -> Iterator[bytes]:
    with file:
        if form != "json":
            names, rows = rows_of(file)
            yield from _joined(_WRITERS[form](_Table(names, rows, ".")))
        elif (text := strictly(file)) is not None:
            yield text
        else:
            yield from _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


@dataclass(frozen=True)
class _Table:
    """The rows of a file, and what names its columns; nothing may."""

    names: list[str]
    rows: Iterator[list[str]]
    decimal: str


def _written(file: BinaryIO, form: str) -> Iterator[bytes]:
    with file:
        encoding = marked_encoding(file.read(4)) or "utf-8"
        file.seek(0)
        with TextIOWrapper(file, encoding, errors=_WINDOWS, newline="") as text:
            yield from _WRITERS[form](_table(text))


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 is taken for Windows-1252, byte by byte."""
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
            f"The file is no table: {error} in line {reader.line_num}. Show it as txt."
        ) from error


def _separator(head: str) -> str:
    """What most likely parts the columns: of the common characters, the one in the first line."""
    line = head.partition("\n")[0]
    return max(",;\t|", key=lambda character: (line.count(character), character == ","))


def _as_csv(table: _Table) -> Iterator[bytes]:
    for row in chain([table.names] if table.names else [], table.rows):
        yield (",".join(_quoted(cell) for cell in row) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


def _as_json(table: _Table) -> Iterator[bytes]:
    """A list with an object for each row."""
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
    """A name of its own for each column, so that no cell is lost."""
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
    if _INTEGER.fullmatch(cell) and int(cell) in _INT64:
        return int(cell)
    text = cell if decimal == "." else cell.replace(decimal, ".")
    if _REAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return cell


def _as_html(table: _Table) -> Iterator[bytes]:
    yield b"<!doctype html>\n<meta charset=utf-8>\n<table>\n"
    if table.names:
        yield b"<thead>\n" + _html_row(table.names, "th") + b"</thead>\n"
    yield b"<tbody>\n"
    for row in table.rows:
        yield _html_row(row, "td")
    yield b"</tbody>\n</table>\n"


def _html_row(cells: Iterable[str], tag: str) -> bytes:
    inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inner}</tr>\n".encode()


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces put together: each one that is sent costs."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


_WRITERS = {"csv": _as_csv, "json": _as_json, "html": _as_html}
