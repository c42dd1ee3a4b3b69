"""Infer how a text table is written: its separator, decimal mark and header.

These are inferred from the first rows if there is a single certain answer. Otherwise the error
names the option to set in the job's ``data``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any

#: Rows examined.
ROWS = 200
#: Separators, the most likely first; the last stands for any white space.
SEPARATORS = ("\t", ";", "|", ",", " ")

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.ASCII | re.I)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?", re.ASCII
)
_GROUPED = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+\.\d+)", re.ASCII)
_GROUP_OR_DECIMALS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_COUNT = re.compile(r"\d+", re.ASCII)
_SET_DECIMAL = 'set "decimal" in "data"'


class AmbiguousTable(ValueError):
    """A table can be read in more than one way, or in none; the message says how to fix it."""


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes
    ----------
    separator : str
        One of `SEPARATORS`, or as the options say.
    decimal : str
        ``.`` or ``,``.
    header : tuple of str or None
        The column names if they are in a comment line; empty if they are in the first row, None if
        there are none.
    skipped : int
        Comment lines before the table.
    surplus : str or None
        What each row has in addition to the header: ``label`` before its cells, ``end`` for a
        trailing separator, or None.
    """

    separator: str
    decimal: str
    header: tuple[str, ...] | None
    skipped: int
    surplus: str | None = None


def is_time(text: object) -> bool:
    """Whether a value is certainly a time: ISO 8601 text with at least year, month and day."""
    return isinstance(text, str) and _TIME.fullmatch(text) is not None


def infer(head: str, options: Mapping[str, Any]) -> Dialect:
    """Return the dialect of a table.

    Parameters
    ----------
    head : str
        Its first lines, all of them complete.
    options : mapping
        What is known: ``separator``, ``decimal``, ``header``.

    Raises
    ------
    AmbiguousTable
        If the rest cannot be inferred.
    """
    comments, lines = _split_comments(head)
    separator = options.get("separator") or _separator(lines)
    rows = _rows(lines, separator)
    _check_lengths(rows)
    header = _header(comments, rows, separator, options)
    decimal = options.get("decimal") or _decimal(rows if header != () else rows[1:])
    surplus = _surplus(rows) if header == () else None
    return Dialect(separator, decimal, header, len(comments), surplus)


def _split_comments(head: str) -> tuple[list[str], list[str]]:
    """Return the comment lines at the top, and the other lines."""
    lines = list(StringIO(head, newline=""))
    start = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:start], lines[start:]


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    collapsed = (re.sub(r"\s+", " ", line.strip()) + "\n" for line in lines)
    reader = csv.reader(
        collapsed if separator == " " else lines, delimiter=separator, skipinitialspace=True
    )
    cells = ([cell.strip() for cell in row] for row in reader)
    return list(islice((row for row in cells if any(row)), ROWS))


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that makes rows of equal length, and most numbers and times."""
    found = {separator: _rows(lines, separator) for separator in SEPARATORS}
    possible = {each: _typed_share(rows) for each, rows in found.items() if _is_table(rows)}
    if possible:
        return max(possible, key=lambda each: possible[each])
    if any(_splits(lines, separator) for separator in SEPARATORS[:-1]):
        raise AmbiguousTable(
            'has rows of different lengths: fix the file, or set "separator" in "data"'
        )
    return SEPARATORS[0]  # a single column


def _splits(lines: Sequence[str], separator: str) -> bool:
    """Whether it splits anything but a single number."""
    rows = _rows(lines, separator)
    return any(len(row) > 1 and not _is_typed(separator.join(row)) for row in rows)


def _check_lengths(rows: list[list[str]]) -> None:
    """Check that no cell is lost."""
    width, lengths = len(rows[0]) if rows else 0, {len(row) for row in rows[1:]}
    if max(lengths, default=0) > width and lengths != {width + 1}:
        raise AmbiguousTable(
            f"has {width} columns in its first row, up to {max(lengths)} in others: fix the file"
        )


def _is_table(rows: list[list[str]]) -> bool:
    """Whether no row is longer than the first, or all are by one, for a label."""
    if not rows or len(rows[0]) < 2:
        return False
    width, lengths = len(rows[0]), {len(row) for row in rows[1:]}
    return lengths == {width + 1} or all(2 <= length <= width for length in lengths)


def _typed_share(rows: list[list[str]]) -> float:
    """Return the share of cells that are numbers, times or empty."""
    cells = [cell for row in rows[1:] or rows for cell in row]
    return sum(map(_is_typed, cells)) / len(cells)


def _is_typed(cell: str) -> bool:
    return not cell or _NUMBER.fullmatch(cell) is not None or is_time(cell)


def _header(
    comments: list[str], rows: list[list[str]], separator: str, options: Mapping[str, object]
) -> tuple[str, ...] | None:
    """Return the header; see `Dialect`."""
    if "header" in options:
        return () if options["header"] else None
    names = _rows([comments[-1].lstrip("# \t")] if comments else [], separator)
    if names and rows and len(names[0]) == len(rows[0]) > 1:
        if any(cell and _is_typed(cell) for cell in rows[0]):
            return tuple(names[0])
        raise AmbiguousTable(
            "has a last comment line and a first row that may both name the columns: remove one, "
            'or set "header": true in "data" if the row does'
        )
    return () if _names_columns(rows[0] if rows else []) else None


def _names_columns(row: list[str]) -> bool:
    if not row or not all(cell and _is_typed(cell) for cell in row):
        return True
    if all(map(_COUNT.fullmatch, row)) and len(set(row)) == len(row):
        raise AmbiguousTable(
            "has only integers in its first row, which may be column names or values: set "
            '"header": true or false in "data"'
        )
    return False


def _decimal(body: list[list[str]]) -> str:
    cells = [cell for row in body for cell in row]
    if grouped := next(filter(_GROUPED.fullmatch, cells), None):
        raise AmbiguousTable(
            f"has numbers with grouped digits, such as {grouped}: remove the separators"
        )
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    commas = [cell for cell in numbers if "," in cell]
    if not commas:
        return "."
    if any("." in cell for cell in numbers):
        raise AmbiguousTable(
            f"has numbers such as {commas[0]}, and others with a point: {_SET_DECIMAL}"
        )
    if all(map(_GROUP_OR_DECIMALS.fullmatch, commas)):
        raise AmbiguousTable(
            f"has a comma in {commas[0]}, for decimals or thousands: {_SET_DECIMAL}"
        )
    return ","


def _surplus(rows: list[list[str]]) -> str | None:
    body = rows[1:]
    if not body or any(len(row) != len(rows[0]) + 1 for row in body):
        return None
    return "label" if any(row[-1] for row in body) else "end"
