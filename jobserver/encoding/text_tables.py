"""Tables as text, some rows after others: csv, HTML, and text with tabs.

Labels of rows that only count them are left out. A missing value is an empty cell. Numbers are
written so that reading them gives the same number again.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from jobserver.encoding.columns import Dtype
from jobserver.encoding.json_writer import dumps, native
from jobserver.encoding.keys import restore_keys
from jobserver.encoding.table_columns import Head, dtypes_of, inner_level
from jobserver.errors import UnsupportedType

#: Cells of one column or one row; None where a value is missing.
Cells = list[str | None]

_QUOTED = re.compile(r'[,"\r\n]')
_BACKSLASHED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_SPAN = re.compile(r"timedelta64\[(.+)\]")


class Readable(Protocol):
    """A sheet, wherever it is; see `jobserver.encoding.table_columns.ColumnTable`."""

    head: Head

    def columns(self) -> Iterator[Iterator[list[Any]]]:
        """Each column in turn, as lists of some of its values."""

    def slices(self) -> Iterator[list[list[Any]]]:
        """Some rows after others, each time as a list for every column."""


@dataclass(frozen=True)
class Style:
    """How a format writes cells, rows and the whole."""

    escape: Callable[[str | None], str]
    header: tuple[str, str, str]
    row: tuple[str, str, str]
    before: str = ""
    between: str = ""
    after: str = ""


def _csv_cell(cell: str | None) -> str:
    if cell is None:
        return ""
    return '"' + cell.replace('"', '""') + '"' if not cell or _QUOTED.search(cell) else cell


def _csv_only_cell(cell: str | None) -> str:
    return _csv_cell(cell) or '""'  # an empty line would be skipped


def _txt_cell(cell: str | None) -> str:
    return (cell or "").translate(_BACKSLASHED)


def _html_cell(cell: str | None) -> str:
    return html.escape(cell or "")


_STYLES = {
    "csv": Style(_csv_cell, ("", ",", "\n"), ("", ",", "\n")),
    "txt": Style(_txt_cell, ("", "\t", "\n"), ("", "\t", "\n")),
    "html": Style(
        _html_cell,
        ("<tr><th>", "</th><th>", "</th></tr>\n"),
        ("<tr><td>", "</td><td>", "</td></tr>\n"),
        before="<!doctype html>\n<meta charset=utf-8>\n<table>\n<thead>\n",
        between="</thead>\n<tbody>\n",
        after="</tbody>\n</table>\n",
    ),
}


def written(sheet: Readable, form: str) -> Iterator[bytes]:
    """A table in a format, piece by piece.

    Parameters
    ----------
    form : str
        ``csv``, ``txt`` or ``html``.

    Raises
    ------
    UnsupportedType
        If it is an array that has no rows and columns.
    """
    style, width = _STYLES[form], _width(sheet.head)
    header = _header(sheet.head)
    alone = width == 1 or any(len(row) == 1 for row in header)
    escape = _csv_only_cell if form == "csv" and alone else style.escape
    names = _lines(style.header, ([*map(escape, row)] for row in header))
    yield (style.before + names + style.between).encode()
    dtypes = dtypes_of(sheet.head)
    for lists in sheet.slices():
        columns = [
            cells if plain else [*map(escape, cells)]
            for values, dtype in zip(lists, dtypes, strict=True)
            for cells, plain in _texts(values, dtype)
        ]
        if width:
            columns = [[*columns[0][place::width]] for place in range(width)]
        yield _lines(style.row, zip(*columns, strict=True)).encode()
    yield style.after.encode()


def _lines(marks: tuple[str, str, str], rows: Iterable[Iterable[Any]]) -> str:
    start, between, end = marks
    lines = [*map(between.join, rows)]
    return start + (end + start).join(lines) + end if lines else ""


def _width(head: Head) -> int:
    """Cells in a row of an array; 0 of a table, which has columns."""
    shape = head.get("shape")
    if shape is None:
        return 0
    if len(shape) > 2:
        raise UnsupportedType(f"An array of {len(shape)} dimensions is no table; ask for json.")
    if inner_level(shape) > 1:
        raise UnsupportedType(
            f"An array of {shape[1]} columns is too wide for a table; ask for json."
        )
    return shape[1] if len(shape) == 2 else 1


def _header(head: Head) -> list[Cells]:
    """The rows above the data."""
    kind = head["type"]
    if kind == "ndarray":
        return []
    names = _as_list(head["names"]["index"]) if head["index"] else []
    if kind == "index":
        return [_text_cells(place if name is None else name for place, name in enumerate(names))]
    if kind == "series":
        name = head["name"]
        return [_text_cells([*names, 0 if name is None else name])]
    if not isinstance(head["dtypes"]["columns"], list):
        return [_text_cells([*names, *head["columns"]])]
    return _level_rows(head, names)


def _level_rows(head: Head, names: list[Any]) -> list[Cells]:
    """The rows above columns whose labels have levels, as pandas writes and reads them."""
    levels = head["names"]["columns"]
    labels = zip(*head["columns"], strict=True) if head["columns"] else [[] for _ in levels]
    gaps = [None] * (len(names) - 1)
    rows = [
        _text_cells([*([level, *gaps] if names else []), *row])
        for level, row in zip(levels, labels, strict=True)
    ]
    named = any(name is not None for name in names)
    return rows + ([_text_cells([*names, *([None] * len(head["columns"]))])] if named else [])


def _as_list(names: Any) -> list[Any]:
    return names if isinstance(names, list) else [names]


def _text_cells(values: Iterable[Any]) -> Cells:
    return [_text(value) for value in values]


def _texts(values: list[Any], dtype: Dtype | list[Dtype]) -> Iterator[tuple[Cells, bool]]:
    """The cells of a column, or of each level in it, and whether they need no escaping."""
    if isinstance(dtype, list):  # labels of several levels
        levels = zip(*values, strict=True) if values else [()] * len(dtype)
        for level, level_dtype in zip(levels, dtype, strict=True):
            yield from _texts(list(level), level_dtype)
        return
    kinds = set(map(type, values))
    span = _SPAN.fullmatch(dtype) if isinstance(dtype, str) else None
    if span:
        yield [None if value is None else f"{value} {span[1]}" for value in values], False
    elif kinds == {float}:
        yield _floats(values)
    elif kinds == {int}:
        yield list(map(str, values)), True
    else:
        yield _text_cells(values), False


def _floats(values: list[float]) -> tuple[Cells, bool]:
    text = dumps(values).decode()[1:-1]  # several times as quick as repr, and as exact
    cells: Cells = [*text.split(",")]
    if "null" not in text:
        return cells, True
    pairs = zip(cells, values, strict=True)
    return [_text(value) if cell == "null" else cell for cell, value in pairs], False


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, dict | list):
        return dumps(restore_keys(value)).decode()
    return str(native(value))  # times and bytes
