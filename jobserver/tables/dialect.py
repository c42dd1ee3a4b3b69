"""How a text table is written: what parts its columns, its decimal mark, whether it has a header.

It is inferred from the first rows, and only where there is one sure answer. Where there is none,
the message names the option that settles it; options are given with the data of a job.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import Any

#: Rows that are looked at.
ROWS = 200
#: What parts columns, the likeliest first; the last stands for any white space.
SEPARATORS = ("\t", ";", "|", ",", " ")

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", re.ASCII | re.I)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d(:?\d\d(:?\d\d([.,]\d+)?)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?", re.ASCII
)
_GROUPED = re.compile(r"[+-]?\d{1,3}((\.\d{3})+,\d+|(,\d{3})+\.\d+)", re.ASCII)
_GROUP_OR_DECIMALS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_COUNT = re.compile(r"\d+", re.ASCII)
_NAME_DECIMAL = 'name the mark of decimals as "decimal" in "data"'


class AmbiguousTable(ValueError):
    """A table that can be read in more than one way, or in none; the message tells the fix."""


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes
    ----------
    separator : str
        What parts columns: one of `SEPARATORS`, or what the options say.
    decimal : str
        ``.`` or ``,``.
    header : tuple of str or None
        The names of the columns where they stand in a comment line; otherwise empty if the first
        row names them, None if nothing does.
    skipped : int
        Lines of comment before the table.
    surplus : str or None
        What each row has more than the header: ``label`` before its cells, ``end`` where a
        separator ends it, or nothing.
    """

    separator: str
    decimal: str
    header: tuple[str, ...] | None
    skipped: int
    surplus: str | None = None


def is_time(text: Any) -> bool:
    """Whether a value is surely a time: ISO 8601 text with at least year, month and day."""
    return isinstance(text, str) and _TIME.fullmatch(text) is not None


def infer(head: str, options: Mapping[str, Any]) -> Dialect:
    """The dialect of a table.

    Parameters
    ----------
    head : str
        Its first lines, none of them cut.
    options : mapping
        What is known: ``separator``, ``decimal``, ``header``.

    Raises
    ------
    AmbiguousTable
        If the rest cannot be inferred.
    """
    comments, lines = _parted(head)
    separator = options.get("separator") or _separator(lines)
    rows = _rows(lines, separator)
    _check_lengths(rows)
    header = _header(comments, rows, separator, options)
    decimal = options.get("decimal") or _decimal(rows if header != () else rows[1:])
    surplus = _surplus(rows) if header == () else None
    return Dialect(separator, decimal, header, len(comments), surplus)


def _parted(head: str) -> tuple[list[str], list[str]]:
    """The lines of comment at the top, and the others."""
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
    """The separator that makes rows of one length, and most numbers and times."""
    found = {separator: _rows(lines, separator) for separator in SEPARATORS}
    fitting = {mark: _plainness(rows) for mark, rows in found.items() if _is_table(rows)}
    if fitting:
        return max(fitting, key=lambda mark: fitting[mark])
    if any(_splits(lines, separator) for separator in SEPARATORS[:-1]):
        raise AmbiguousTable(
            'has rows of different lengths: mend it, or name what parts its columns as "separator" '
            'in "data"'
        )
    return SEPARATORS[0]  # a single column


def _splits(lines: Sequence[str], separator: str) -> bool:
    """Whether it parts anything that is no single number."""
    rows = _rows(lines, separator)
    return any(len(row) > 1 and not _is_typed(separator.join(row)) for row in rows)


def _check_lengths(rows: list[list[str]]) -> None:
    """See to it that no cell falls out of the table."""
    width, lengths = len(rows[0]) if rows else 0, {len(row) for row in rows[1:]}
    if max(lengths, default=0) > width and lengths != {width + 1}:
        raise AmbiguousTable(
            f"has {width} columns in its first row, up to {max(lengths)} in others: mend it"
        )


def _is_table(rows: list[list[str]]) -> bool:
    """Whether rows have the length of the first; all of them may have one more, for a label."""
    if not rows or len(rows[0]) < 2:
        return False
    width, lengths = len(rows[0]), {len(row) for row in rows[1:]}
    return lengths == {width + 1} or all(2 <= length <= width for length in lengths)


def _plainness(rows: list[list[str]]) -> float:
    """The part of the cells that are numbers, times or empty."""
    cells = [cell for row in rows[1:] or rows for cell in row]
    return sum(map(_is_typed, cells)) / len(cells)


def _is_typed(cell: str) -> bool:
    return not cell or _NUMBER.fullmatch(cell) is not None or is_time(cell)


def _header(
    comments: list[str], rows: list[list[str]], separator: str, options: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """What names the columns; see `Dialect`."""
    if "header" in options:
        return () if options["header"] else None
    names = _rows([comments[-1].lstrip("# \t")] if comments else [], separator)
    if names and rows and len(names[0]) == len(rows[0]) > 1:
        if any(cell and _is_typed(cell) for cell in rows[0]):
            return tuple(names[0])
        raise AmbiguousTable(
            "has a last line of comment and a first row that may both name the columns: remove "
            'one, or say "header": true in "data" if the row does'
        )
    return () if _names_columns(rows[0] if rows else []) else None


def _names_columns(row: list[str]) -> bool:
    if not row or not all(cell and _is_typed(cell) for cell in row):
        return True
    if all(map(_COUNT.fullmatch, row)) and len(set(row)) == len(row):
        raise AmbiguousTable(
            "has only whole numbers in its first row, which may be names of columns or values: say "
            '"header": true or false in "data"'
        )
    return False


def _decimal(body: list[list[str]]) -> str:
    cells = [cell for row in body for cell in row]
    if grouped := next(filter(_GROUPED.fullmatch, cells), None):
        raise AmbiguousTable(
            f"has numbers with grouped digits, such as {grouped}: write them without"
        )
    numbers = [cell for cell in cells if _NUMBER.fullmatch(cell)]
    commas = [cell for cell in numbers if "," in cell]
    if not commas:
        return "."
    if any("." in cell for cell in numbers):
        raise AmbiguousTable(
            f"has numbers such as {commas[0]} and others with a point: {_NAME_DECIMAL}"
        )
    if all(map(_GROUP_OR_DECIMALS.fullmatch, commas)):
        raise AmbiguousTable(
            f"has a comma in {commas[0]} for decimals or thousands: {_NAME_DECIMAL}"
        )
    return ","


def _surplus(rows: list[list[str]]) -> str | None:
    body = rows[1:]
    if not body or any(len(row) != len(rows[0]) + 1 for row in body):
        return None
    return "label" if any(row[-1] for row in body) else "end"
