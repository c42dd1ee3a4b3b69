"""Write tables as csv, HTML or tab-separated text, a few rows at a time.

Row labels that only count the rows are left out. A missing value is an empty cell. Numbers are
written so that reading them returns the same number.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jobserver.encoding.arrays import plain
from jobserver.encoding.json_writer import dumps, native
from jobserver.encoding.table_columns import Dtype, Head, Readable, dtypes_of, inner_level
from jobserver.errors import UnsupportedType

#: Cells of one column or one row; None for a missing value.
Cells = list[str | None]
#: What stands before, between and after the cells of a row.
_Row = tuple[str, str, str]

_QUOTED = re.compile(r'[,"\r\n]')
_BACKSLASHED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


@dataclass(frozen=True)
class TextFormat:
    """Writes cells, rows and tables in a format.

    Attributes
    ----------
    escape : callable
        Returns a cell as it is written.
    header, row : tuple of str
        What stands before, between and after the cells of a row.
    before, head, between, after : str
        What stands before the table, around its header, before the rows, and at the end.
    """

    escape: Callable[[str | None], str]
    header: _Row
    row: _Row
    before: str = ""
    head: tuple[str, str] = ("", "")
    between: str = ""
    after: str = ""

    def begin(self, header: Iterable[Iterable[str]]) -> str:
        """Return the start of the table, up to its first row; cells must be escaped."""
        lines = self._lines(self.header, header)
        return self.before + (self.head[0] + lines + self.head[1] if lines else "") + self.between

    def rows(self, rows: Iterable[Iterable[str]]) -> str:
        """Return some rows; cells must be escaped."""
        return self._lines(self.row, rows)

    @staticmethod
    def _lines(row: _Row, rows: Iterable[Iterable[str]]) -> str:
        start, between, end = row
        lines = [*map(between.join, rows)]
        return start + (end + start).join(lines) + end if lines else ""


def _csv_cell(cell: str | None) -> str:
    if cell is None:
        return ""
    return '"' + cell.replace('"', '""') + '"' if not cell or _QUOTED.search(cell) else cell


def _csv_single_cell(cell: str | None) -> str:
    return _csv_cell(cell) or '""'  # readers skip empty lines


TEXT_FORMATS = {
    "csv": TextFormat(_csv_cell, ("", ",", "\n"), ("", ",", "\n")),
    "txt": TextFormat(
        lambda cell: (cell or "").translate(_BACKSLASHED), ("", "\t", "\n"), ("", "\t", "\n")
    ),
    "html": TextFormat(
        lambda cell: html.escape(cell or ""),
        ("<tr><th>", "</th><th>", "</th></tr>\n"),
        ("<tr><td>", "</td><td>", "</td></tr>\n"),
        before="<!doctype html>\n<meta charset=utf-8>\n<table>\n",
        head=("<thead>\n", "</thead>\n"),
        between="<tbody>\n",
        after="</tbody>\n</table>\n",
    ),
}


def write_text(table: Readable, output_format: str) -> Iterator[bytes]:
    """Yield a table in a format, piece by piece.

    Parameters
    ----------
    output_format : str
        ``csv``, ``txt`` or ``html``.

    Raises
    ------
    UnsupportedType
        If it is an array without rows and columns.
    """
    writer, width = TEXT_FORMATS[output_format], _width(table.head)
    header = _header(table.head)
    single = width == 1 or any(len(row) == 1 for row in header)
    escape = _csv_single_cell if output_format == "csv" and single else writer.escape
    yield writer.begin([*map(escape, row)] for row in header).encode()
    dtypes = dtypes_of(table.head)
    for lists in table.slices():
        columns: list[list[Any]] = [
            cells if plain else [*map(escape, cells)]
            for values, dtype in zip(lists, dtypes, strict=True)
            for cells, plain in _texts(values, dtype)
        ]
        if width:
            columns = [[*columns[0][first::width]] for first in range(width)]
        yield writer.rows(zip(*columns, strict=True)).encode()
    yield writer.after.encode()


def _width(head: Head) -> int:
    """Return the cells in a row of an array; 0 for a table, which has columns."""
    shape = head.get("shape")
    if shape is None:
        return 0
    if len(shape) > 2:
        raise UnsupportedType(f"An array of {len(shape)} dimensions is not a table; ask for json.")
    if inner_level(shape) > 1:
        raise UnsupportedType(
            f"An array of {shape[1]} columns is too wide for a table; ask for json."
        )
    return shape[1] if len(shape) == 2 else 1


def _header(head: Head) -> list[Cells]:
    """Return the rows above the data."""
    kind = head["type"]
    if kind == "ndarray":
        return []
    names = _as_list(head["names"]["index"]) if head["index"] else []
    if kind == "index":
        return [_text_cells(n if name is None else name for n, name in enumerate(names))]
    if kind == "series":
        name = head["name"]
        return [_text_cells([*names, 0 if name is None else name])]
    if not isinstance(head["dtypes"]["columns"], list):
        return [_text_cells([*names, *head["columns"]])]
    return _level_rows(head, names)


def _level_rows(head: Head, names: list[Any]) -> list[Cells]:
    """Return the rows above columns with several levels of labels, in pandas' layout."""
    levels = head["names"]["columns"]
    labels = zip(*head["columns"], strict=True) if head["columns"] else [[] for _ in levels]
    gaps = [None] * (len(names) - 1)
    rows = [
        _text_cells([*([level, *gaps] if names else []), *row])
        for level, row in zip(levels, labels, strict=True)
    ]
    named = any(name is not None for name in names)
    return rows + ([_text_cells([*names, *([None] * len(head["columns"]))])] if named else [])


def _as_list(names: object) -> list[object]:
    return names if isinstance(names, list) else [names]


def _text_cells(values: Iterable[object]) -> Cells:
    return [_text(value) for value in values]


def _texts(values: list[Any], dtype: Dtype | list[Dtype]) -> Iterator[tuple[Cells, bool]]:
    """Yield the cells of a column, or of each of its levels, and whether they need no escaping."""
    if isinstance(dtype, list):  # labels with several levels
        levels = zip(*values, strict=True) if values else [()] * len(dtype)
        for level, level_dtype in zip(levels, dtype, strict=True):
            yield from _texts(list(level), level_dtype)
        return
    kinds = set(map(type, values))
    if kinds == {float}:
        yield _floats(values)
    elif kinds == {int}:
        yield list(map(str, values)), True
    else:
        yield _text_cells(values), False


def _floats(values: list[float]) -> tuple[Cells, bool]:
    text = dumps(values).decode()[1:-1]  # several times as fast as repr, and as exact
    cells: Cells = [*text.split(",")]
    if "null" not in text:
        return cells, True
    pairs = zip(cells, values, strict=True)
    return [_text(value) if cell == "null" else cell for cell, value in pairs], False


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, dict | list):
        return dumps(plain(value)).decode()
    return str(native(value))  # times and bytes
