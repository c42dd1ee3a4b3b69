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

from jobserver.encoding.arrays import plain
from jobserver.encoding.grid import Grid
from jobserver.encoding.json_writer import dumps, native
from jobserver.encoding.table_columns import Items, Readable

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
    writer, grid = TEXT_FORMATS[output_format], Grid(table)
    single = len(grid.dtypes) == 1
    escape = _csv_single_cell if output_format == "csv" and single else writer.escape
    yield writer.begin([*map(escape, map(cell_text, row))] for row in grid.header).encode()
    for columns in grid.slices():
        texts = [cells if plain else [*map(escape, cells)] for cells, plain in map(_texts, columns)]
        yield writer.rows(zip(*texts, strict=True)).encode()
    yield writer.after.encode()


def _texts(values: Items) -> tuple[Cells, bool]:
    """Return the cells of a column, and whether they need no escaping."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return _floats(values)
    if kinds == {int}:
        return list(map(str, values)), True
    return [cell_text(value) for value in values], False


def _floats(values: list[float]) -> tuple[Cells, bool]:
    text = dumps(values).decode()[1:-1]  # several times as fast as repr, and as exact
    cells: Cells = [*text.split(",")]
    if "null" not in text:
        return cells, True
    pairs = zip(cells, values, strict=True)
    return [cell_text(value) if cell == "null" else cell for cell, value in pairs], False


def cell_text(value: object) -> str | None:
    """Return a cell of a table as text; None for a missing value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, dict | list):
        return dumps(plain(value)).decode()
    return str(native(value))  # times and bytes
