"""Infer how a text table is laid out: where it begins, its separator, decimal mark and header.

All of it is inferred from the first lines if there is a single certain answer. Otherwise the error
names the option that settles it, and the line.

A file may hold other lines above its table. The table is the run of rows of one width with the most
numbers and times, down to the end of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from jobserver.tables.cells import footer_length, is_time, is_typed
from jobserver.tables.errors import AmbiguousTable
from jobserver.tables.header import find_commented, find_header, find_units
from jobserver.tables.numbers import doubts_points, find_decimal
from jobserver.tables.options import SEPARATORS, Options, advise
from jobserver.tables.rows import (
    Row,
    check_widths,
    columns_of_rows,
    differing_lengths,
    find_table,
    is_typed_column,
    split_rows,
    typed_share,
)

#: Lines examined for a table; all lines of the head if it does not begin within them.
LINES = 100
_RDB_KIND = re.compile(r"\d+[sdnSDN]", re.ASCII)
_EXCEL = re.compile(r"sep=(.)\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    Attributes
    ----------
    separator : str
        One of `SEPARATORS`.
    decimal : str
        ``.`` or ``,``.
    names : tuple of str or None
        The column names; None if there are none.
    start : int
        Number of lines above the first row of values.
    width : int
        Number of cells in a row.
    surplus : str or None
        What each row has in addition to the header: ``label`` before its cells, ``end`` for a
        trailing separator, or None.
    units : tuple of str or None
        The units of the columns, if a row holds them.
    text : frozenset of int
        Columns that the file itself declares as text.
    times : tuple of int
        Columns whose first cells are ISO times.
    skipped : int
        Lines above the header that are not comments.
    comment : int or None
        The line of the comment that names the columns.
    point_in_doubt : bool
        Whether points in numbers may group digits, as far as the first rows show.
    """

    separator: str
    decimal: str
    names: tuple[str, ...] | None
    start: int
    width: int
    surplus: str | None = None
    units: tuple[str, ...] | None = None
    text: frozenset[int] = frozenset()
    times: tuple[int, ...] = ()
    skipped: int = 0
    comment: int | None = None
    point_in_doubt: bool = False


def infer(head: str, options: Options) -> Layout:
    """Return the layout of a table.

    Parameters
    ----------
    head : str
        Its first lines, all of them complete.
    options : mapping
        What is known: ``separator``, ``decimal``, ``thousands``, ``header``, ``skip``, ``units``.

    Raises
    ------
    AmbiguousTable
        If the rest cannot be inferred.
    """
    lines = head.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    if len(lines) > LINES:
        with suppress(AmbiguousTable):
            layout, is_sure = _infer(lines[:LINES], options)
            if is_sure:
                return layout
    return _infer(lines, options)[0]


def _infer(lines: list[str], options: Options) -> tuple[Layout, bool]:
    """Return the layout, and whether the table has numbers or times."""
    if options.get("skip") is None and (known := _toa5(lines) or _rdb(lines)):
        rows = list(split_rows(lines[known.start :], known.separator, known.start + 1))
        _check_known(known, rows)
        return _with_types(known, rows, options), True
    top = _Top.read(lines, options)
    separator = options.get("separator") or top.separator or _separator(top, options)
    rows = list(split_rows(top.below, separator, top.line))
    begin, stop = find_table(rows) if options.get("skip") is None else (0, len(rows))
    table = rows[begin:stop]
    check_widths(table, options)
    commented = find_commented(top.comments, table, separator, options)
    body, names, surplus = find_header(commented, table, separator, options)
    body = body[: len(body) - footer_length([row.cells[0] for row in body[1:]])]
    units, body = find_units(names, body, options)
    if not body and stop < len(rows):
        raise AmbiguousTable(
            f"has only the row in line {rows[begin].line} as a table, and other lines below it: "
            f"fix the file, or {advise('separator', 'skip')}"
        )
    start = body[0].line - 1 if body else top.line - 1 + len(top.below)
    skipped = max(rows[begin].line - top.line, 0) if rows else 0
    width = max([len(row.cells) for row in body] + [len(names or ())])
    comment = commented.line if commented else None
    layout = Layout(
        separator, ".", names, start, width, surplus, units, skipped=skipped, comment=comment
    )
    is_sure = any(is_typed(cell) for row in body for cell in row.cells)
    return _with_types(layout, body, options), is_sure


def _check_known(known: Layout, rows: Sequence[Row]) -> None:
    """Raise `AmbiguousTable` if the first row does not fit: longer ones below are found later."""
    if rows and len(rows[0].cells) > known.width:
        raise AmbiguousTable(
            f"has {len(rows[0].cells)} cells in line {rows[0].line}, and {known.width} columns: "
            "fix the file"
        )


def _with_types(layout: Layout, body: list[Row], options: Options) -> Layout:
    columns = columns_of_rows(body, layout.width)
    times = tuple(n for n, cells in enumerate(columns) if cells and all(map(is_time, cells)))
    decimal = find_decimal(body, options)
    cells = (cell for row in body for cell in row.cells)
    in_doubt = decimal == "." and doubts_points(cells, layout.separator, options)
    return replace(layout, decimal=decimal, point_in_doubt=in_doubt, times=times)


@dataclass(frozen=True)
class _Top:
    """The comment lines above a table, and the lines below them.

    Attributes
    ----------
    comments : list of (int, str)
        The comments, of which one may name the columns, and their lines.
    below : list of str
        The other lines.
    line : int
        Number of the first of them.
    separator : str or None
        The separator, if the first line declares it.
    """

    comments: list[tuple[int, str]]
    below: list[str]
    line: int
    separator: str | None = None

    @classmethod
    def read(cls, lines: list[str], options: Options) -> _Top:
        start = skip = options.get("skip") or 0
        declared = None if skip or not lines else _EXCEL.fullmatch(lines[0])
        start += bool(declared)
        while start < len(lines) and lines[start].startswith("#"):
            start += 1
        above = enumerate(lines[skip:start], skip + 1)
        texts = ((n, line.lstrip("# \t")) for n, line in above if line.startswith("#"))
        comments = [(n, text) for n, text in texts if text.strip()]
        return cls(comments, lines[start:], start + 1, declared[1] if declared else None)


def _separator(top: _Top, options: Options) -> str:
    """Return the separator that makes a table, with the most numbers and times."""
    found: dict[str, float] = {}
    for separator in SEPARATORS:
        if separator != " " and not any(separator in line for line in top.below):
            continue
        rows = list(split_rows(top.below, separator, top.line))
        if share := typed_share(rows, options):
            found[separator] = share
        if share > 1:  # nothing but numbers and times: no other separator does better
            break
    best = max(found, key=lambda each: found[each], default=None)
    if best and (best != " " or not _holds_separators(top)):
        return best
    for separator in SEPARATORS:
        rows = list(split_rows(top.below[:LINES], separator, top.line))
        split = [row for row in rows if _splits(row, separator)]
        if split and (separator != " " or is_typed_column([c for row in split for c in row.cells])):
            raise AmbiguousTable(
                f"has rows of different lengths, {differing_lengths(rows)}, with {separator!r} "
                f"between cells: fix the file, or {advise('separator', 'skip')}"
            )
    return SEPARATORS[0]  # a single column


def _holds_separators(top: _Top) -> bool:
    """Whether most rows have another separator in their cells than the spaces between these."""
    rows = list(split_rows(top.below[:LINES], " ", top.line))
    odd = [any(c in cell for c in "\t;|" for cell in row.cells) for row in rows]
    return 2 * sum(odd) > len(rows)


def _splits(row: Row, separator: str) -> bool:
    """Whether a separator splits anything but a single number."""
    return len(row.cells) > 1 and not is_typed(separator.join(row.cells))


def _toa5(lines: Sequence[str]) -> Layout | None:
    """Return the layout of a Campbell Scientific TOA5 file: four rows above the values."""
    if not lines or not lines[0].lstrip('"').startswith("TOA5") or len(lines) < 4:
        return None
    names, units, kinds = (row.cells for row in islice(split_rows(lines[1:4], ","), 3))
    start = 3 if is_time(kinds[0]) else 4  # some programs leave out the row of kinds
    return Layout(",", ".", tuple(names), start, len(names), units=tuple(units))


def _rdb(lines: Sequence[str]) -> Layout | None:
    """Return the layout of a USGS RDB file: names and kinds below the comments, with tabs."""
    start = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if len(lines) < start + 2:
        return None
    kinds = [cell.strip() for cell in lines[start + 1].split("\t")]
    names = tuple(cell.strip() for cell in lines[start].split("\t"))
    if len(kinds) != len(names) or not all(map(_RDB_KIND.fullmatch, kinds)):
        return None
    texts = [n for n, kind in enumerate(kinds) if kind[-1] in "sS"]
    text = frozenset(n for n in texts if not names[n].endswith("_va"))  # latitudes are declared 16s
    return Layout("\t", ".", names, start + 2, len(names), text=text)
