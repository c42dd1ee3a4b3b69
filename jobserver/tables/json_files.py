"""Read JSON data files for showing: as strict JSON, or as the table in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from jobserver.encoding import dumps
from jobserver.errors import UnsupportedType
from jobserver.sizes import MIB, rounded_size
from jobserver.tables.datatypes import DatatypeMismatch, columns_of

#: Largest file in bytes that is parsed, which takes ten times as much memory.
LARGEST = 8 * MIB


def read_strict_json(file: BinaryIO) -> bytes | None:
    """Return a file's JSON with null for NaN and infinities; None if it is too large to parse.

    Raises
    ------
    UnsupportedType
        If it is not JSON.
    """
    text = _read(file)
    if text is None:
        return None
    constants: list[str] = []
    value = _parse(text, constants)
    return dumps(value) if constants or json.detect_encoding(text) != "utf-8" else text


def read_rows(file: BinaryIO) -> tuple[list[str], Iterator[list[str]]]:
    """Return the column names of the table in a file, and its rows as text.

    Raises
    ------
    UnsupportedType
        If it is not a table, or too large.
    """
    text = _read(file)
    if text is None:
        most = rounded_size(LARGEST)
        raise UnsupportedType(f"JSON is shown as a table up to {most}; ask for txt or json.")
    try:
        columns = columns_of(_parse(text, []))
    except DatatypeMismatch as error:
        raise UnsupportedType(f"The file {error}; ask for txt or json.") from error
    cells: Iterable[Iterable[object]] = columns.data.values()
    names = [str(name) for name in columns.data]
    if columns.index is not None:
        cells, names = chain([columns.index], cells), ["", *names]
    return names, ([_text(cell) for cell in row] for row in zip(*cells, strict=True))


def _read(file: BinaryIO) -> bytes | None:
    """Return all of a file; rewind it and return None if it is too large."""
    text = file.read(LARGEST + 1)
    if len(text) <= LARGEST:
        return text
    file.seek(0)
    return None


def _parse(text: bytes, constants: list[str]) -> object:
    """Parse JSON with null for NaN and infinities, which are added to the constants."""
    try:
        return json.loads(text, parse_constant=constants.append)
    except (ValueError, RecursionError) as error:
        raise UnsupportedType(f"The file is not valid JSON: {error}. Ask for txt.") from error


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
