"""Showing a data file of JSON: strictly as JSON, or as the table that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from jobserver.encoding import dumps
from jobserver.errors import UnsupportedType
from jobserver.sizes import MIB, rounded_size
from jobserver.tables.datatypes import DatatypeMismatch, columns_of

#: Bytes of a file that is read as a whole, which takes ten times as much memory.
LARGEST = 8 * MIB


def strictly(file: BinaryIO) -> bytes | None:
    """A file's JSON with null for what JSON does not know; None if it is too large to look into.

    Raises
    ------
    UnsupportedType
        If it is no JSON.
    """
    text = _whole(file)
    if text is None:
        return None
    strange: list[str] = []
    value = _parsed(text, strange)
    return dumps(value) if strange or json.detect_encoding(text) != "utf-8" else text


def rows_of(file: BinaryIO) -> tuple[list[str], Iterator[list[str]]]:
    """The names of the columns of a file's table, and its rows as text.

    Raises
    ------
    UnsupportedType
        If it holds no table, or is too large.
    """
    text = _whole(file)
    if text is None:
        most = rounded_size(LARGEST)
        raise UnsupportedType(f"JSON is shown as a table up to {most}; ask for txt or json.")
    try:
        columns = columns_of(_parsed(text, []))
    except DatatypeMismatch as misfit:
        raise UnsupportedType(f"The file {misfit}; ask for txt or json.") from misfit
    cells: Iterable[Iterable[Any]] = columns.data.values()
    names = [str(name) for name in columns.data]
    if columns.index is not None:
        cells, names = chain([columns.index], cells), ["", *names]
    return names, ([_text(cell) for cell in row] for row in zip(*cells, strict=True))


def _whole(file: BinaryIO) -> bytes | None:
    """All of a file, which stands at its start again where it is too large."""
    text = file.read(LARGEST + 1)
    if len(text) <= LARGEST:
        return text
    file.seek(0)
    return None


def _parsed(text: bytes, strange: list[str]) -> Any:
    """The value; constants that strict JSON does not know are noted, and are null."""
    try:
        return json.loads(text, parse_constant=strange.append)
    except (ValueError, RecursionError) as error:
        raise UnsupportedType(f"The file is no JSON: {error}. Ask for txt.") from error


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
