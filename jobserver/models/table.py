"""Showing a data file: as it is, or its rows as JSON or HTML, read and written piece by piece."""

from __future__ import annotations

import csv
import html
import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path

import orjson

from jobserver.errors import WrongType

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
_TABLES = (".csv", ".tsv", ".dat", ".txt")
_PIECE = 256 * 1024
#: Not `007`, nor more digits than an integer has: those are names made of digits.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,18})", re.ASCII)
_REAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?", re.ASCII)
_INT64 = range(-(2**63), 2**63)


def content(path: Path, form: str) -> Iterator[bytes]:
    """A file's content in a format, piece by piece.

    Parameters
    ----------
    path : Path
        The file.
    form : str
        ``csv``, ``json``, ``html`` or ``txt``. As ``json`` a table is a list of objects, one for
        each row, with numbers as numbers and empty cells as null.

    Raises
    ------
    WrongType
        If a file of this kind has no such form, or holds no table.
    """
    kind = path.suffix.lower()
    if form == "txt" or kind == f".{form}":
        return _pieces(path)
    if kind not in _TABLES:
        forms = "txt or json" if kind == ".json" else "txt"
        raise WrongType(f"A {kind[1:]} file cannot be shown as {form}, only as {forms}.")
    pieces = _joined(_WRITERS[form](path))
    return chain(list(islice(pieces, 1)), pieces)  # what is no table mostly shows at once


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        head = file.read(64 * 1024)
        file.seek(0)
        reader = csv.reader(file, delimiter=_separator(head))
        try:
            yield from filter(None, reader)
        except csv.Error as error:
            raise WrongType(
                f"The file is no table: {error} in line {reader.line_num}. Show it as txt."
            ) from error


def _separator(head: str) -> str:
    """What most likely parts the columns: of the common characters, the one in the first line."""
    line = head.partition("\n")[0]
    return max(",;\t|", key=lambda character: (line.count(character), character == ","))


def _as_csv(path: Path) -> Iterator[bytes]:
    for row in _rows(path):
        yield (",".join(_quoted(cell) for cell in row) + "\n").encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


def _as_json(path: Path) -> Iterator[bytes]:
    """A list with an object for each row."""
    rows = _rows(path)
    names = _names(next(rows, []))
    separator = b"["
    for row in rows:
        if len(row) > len(names):
            names = _names(names + [""] * (len(row) - len(names)))
        yield separator + orjson.dumps(dict(zip_longest(names, map(_value, row))))
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


def _value(cell: str) -> int | float | str | None:
    if not cell:
        return None
    if _INTEGER.fullmatch(cell) and int(cell) in _INT64:
        return int(cell)
    if _REAL.fullmatch(cell) and math.isfinite(number := float(cell)):
        return number
    return cell


def _as_html(path: Path) -> Iterator[bytes]:
    rows = _rows(path)
    yield b"<!doctype html>\n<meta charset=utf-8>\n<table>\n<thead>\n"
    yield _html_row(next(rows, []), "th") + b"</thead>\n<tbody>\n"
    for row in rows:
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
