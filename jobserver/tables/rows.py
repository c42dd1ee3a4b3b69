"""Split text into rows, and find the rows that make up its table.

A file may hold other lines above its table. The table is the run of rows of one width with the most
numbers and times, and starts with the row that names the columns.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, zip_longest

from jobserver.sizes import counted
from jobserver.tables.cells import (
    MISSING,
    is_blank,
    is_clock,
    is_date,
    is_number,
    is_time,
    is_typed,
)
from jobserver.tables.errors import AmbiguousTable, abridged
from jobserver.tables.options import Options, advise

_SHORT = 40
_MOST_PADDED = 50
_log = logging.getLogger("jobserver")


@dataclass(frozen=True)
class Row:
    """A row of text.

    Attributes
    ----------
    line : int
        Its first line, from 1 on.
    cells : list of str
        Its cells, stripped.
    """

    line: int
    cells: list[str]


def split_rows(lines: Sequence[str], separator: str, first: int = 1) -> Iterator[Row]:
    """Yield the rows in some lines; blank lines are left out.

    Parameters
    ----------
    first : int
        Number of the first line.
    """
    source = (" ".join(line.split()) if separator == " " else line for line in lines)
    ended = (line + "\n" for line in source)
    reader = csv.reader(ended, delimiter=separator, skipinitialspace=True)
    before = 0
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) or len(cells) > 1:
                yield Row(first + before, stripped)
            before = reader.line_num
    except csv.Error as error:
        line = first + reader.line_num - 1
        raise AmbiguousTable(f"is not a table: {error}, in line {line}") from error


def columns_of_rows(rows: Sequence[Row], width: int) -> list[list[str]]:
    """Return the cells of each column that are not missing."""
    columns = zip_longest([""] * width, *(row.cells for row in rows), fillvalue="")
    return [
        [cell for cell in column if cell and cell not in MISSING]  # is_blank takes much longer
        for column in islice(columns, width)
    ]


class CellCounts:
    """Counts the cells of each column, and the numbers and times among them, row by row."""

    def __init__(self, width: int) -> None:
        self._present = [0] * width
        self._typed = [0] * width

    def add(self, row: Row) -> None:
        """Count the cells of a row."""
        for n, cell in enumerate(row.cells[: len(self._present)]):
            if not is_blank(cell):
                self._present[n] += 1
                self._typed[n] += is_typed(cell)

    def typed_columns(self) -> list[int]:
        """Return the columns that hold numbers or times in nearly all rows."""
        pairs = enumerate(zip(self._typed, self._present, strict=True))
        return [n for n, (typed, present) in pairs if typed > 0.9 * present]


def is_typed_column(cells: Sequence[str]) -> bool:
    """Whether most cells are numbers or times."""
    return 2 * sum(map(is_typed, cells)) > len(cells)


def typed_share(rows: list[Row], options: Options) -> float:
    """Return the share of numbers and times in the table that a separator makes; 0 for none.

    Lines outside the table count as if they were text.
    """
    start, stop = find_table(rows) if options.get("skip") is None else (0, len(rows))
    table = rows[start:stop]
    if not table or not _is_table(table) or (len(table) == 1 and stop < len(rows)):
        return 0
    cells = [cell for row in table[1:] or table for cell in row.cells]
    times = sum(is_date(day) and is_clock(clock) for day, clock in pairwise(cells))  # one, parted
    typed = sum(is_blank(cell) or is_typed(cell) for cell in cells) - times
    if not typed and stop < len(rows):
        return 0
    return (typed / (len(cells) - times) + 1e-6) * len(table) / len(rows)


def find_table(rows: list[Row]) -> tuple[int, int]:
    """Return start and stop of the table: the run with the most numbers and times.

    It starts below other rows only if its first row certainly names its columns.
    """
    best, most = (0, len(rows)), 0
    for start, stop in _runs(rows):
        typed = _typed_cells(rows[start:stop])
        if typed > most:
            best, most = (start, stop), typed
    start, stop = best
    start += _padded(rows[start:stop])
    if start and not _is_header(rows[start:stop]):
        start = start - 1 if _heads(rows[start - 1], rows[start]) else 0
    return start, stop


def check_widths(rows: Sequence[Row], options: Options) -> None:
    """Raise `AmbiguousTable` if a row is longer than the first, unless all are by a label."""
    if not rows:
        return
    width, lengths = len(rows[0].cells), {len(row.cells) for row in rows[1:]}
    longest = max(rows[1:], key=lambda row: len(row.cells), default=rows[0])
    if len(longest.cells) > width and lengths != {width + 1}:
        other = "skip" if options.get("separator") else "separator"
        raise AmbiguousTable(
            f"has {counted(width, 'column')} in its first row, up to {len(longest.cells)} in "
            f"others, as in line {longest.line}: fix the file, or {advise(other)}"
        )


def find_footer(rows: Sequence[Row], width: int) -> int:
    """Return the first row that belongs to a footer; the number of rows without one."""
    gaps = [n for n in range(1, len(rows)) if rows[n].line > rows[n - 1].line + 1]
    odd = [n for n, row in enumerate(rows) if len(row.cells) <= max(width // 2, 1) < width]
    starts, above = {*gaps, *odd}, CellCounts(width)
    for start, row in enumerate(rows[: max(starts, default=-1) + 1]):
        typed = above.typed_columns() if start in starts else []
        below = range(start, len(rows))
        if typed and all(_is_foreign(rows[n], typed, width) for n in below):
            return start
        above.add(row)
    return len(rows)


def report_footer(kind: str, first: int, last: int, text: str) -> None:
    """Report the lines or rows below a table that are left out, and how they start."""
    where = f"{kind} {first}" if first == last else f"{kind}s {first} to {last}"
    _log.warning("What stands below the table was left out: %s, from %r on", where, abridged(text))


def check_rows(rows: Sequence[Row], width: int, separator: str) -> None:
    """Raise `AmbiguousTable` if a row is longer than the first, or not one of the table's."""
    counts = CellCounts(width)
    for row in rows:
        counts.add(row)
    typed = counts.typed_columns()
    for row in rows:
        if len(row.cells) > width:
            raise AmbiguousTable(
                f"has {len(row.cells)} cells in line {row.line}, {width} in the first row: "
                f"fix the file, or {advise('separator', 'skip')}"
            )
        if len(row.cells) < width and separator == " ":
            raise AmbiguousTable(
                f"has a blank cell in line {row.line}, with {len(row.cells)} of {width} cells "
                "parted by spaces: write a value such as NA there, or part cells by commas; "
                "to read columns of fixed widths, let the script take the pathlib.Path"
            )
        if len(row.cells) < width and _is_foreign(row, typed, width):
            raise AmbiguousTable(
                f"has {abridged(separator.join(row.cells))!r} in line {row.line}, which is not a "
                f"row of the table: remove it, or, if the table is below, {advise('skip')}"
            )


def _is_foreign(row: Row, typed: Sequence[int], width: int) -> bool:
    """Whether a row is not one of the table's: too long, or text where others have numbers."""
    cells = [row.cells[n] for n in typed if n < len(row.cells) and not is_blank(row.cells[n])]
    return len(row.cells) > width or not cells or not all(map(is_typed, cells))


def differing_lengths(rows: list[Row]) -> str:
    """Return where the rows of different lengths are."""
    first = rows[0]
    other = next((row for row in rows if len(row.cells) != len(first.cells)), first)
    return f"{len(first.cells)} in line {first.line} and {len(other.cells)} in line {other.line}"


def shown_cells(row: Row) -> str:
    """Return the cells of a row for a message."""
    text = ", ".join(row.cells)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def _is_table(rows: Sequence[Row]) -> bool:
    """Whether no row is longer than the first, or all are by one, for a label."""
    width, lengths = len(rows[0].cells), {len(row.cells) for row in rows[1:]}
    if width < 2:
        return False
    return lengths == {width + 1} or all(2 <= length <= width for length in lengths)


def _padded(rows: Sequence[Row]) -> int:
    """Return the number of rows above the header that spreadsheets padded to its width."""
    for n, row in enumerate(rows[:_MOST_PADDED]):
        if all(row.cells):
            return n if n and _is_header(rows[n:]) else 0
        if sum(map(bool, row.cells)) * 2 > len(row.cells):
            return 0
    return 0


def _runs(rows: list[Row]) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each run of rows of one width; shorter rows may be in between.

    Another width and names of columns below a blank line start another table.
    """
    start = 0
    while start < len(rows):
        width, stop = len(rows[start].cells), start + 1
        while stop < len(rows) and 2 <= len(rows[stop].cells) <= width:
            if _starts_another(rows, stop):
                break
            stop += 1
        if width > 1:
            yield start, stop
        start = stop if width > 1 else start + 1


def _starts_another(rows: Sequence[Row], n: int) -> bool:
    """Whether a row names the columns of another table than the rows above it."""
    above, row = rows[n - 1], rows[n]
    if row.line == above.line + 1 or len(row.cells) == len(above.cells):
        return False
    widths = len(row.cells), len(row.cells) + 1
    below = [each for each in rows[n : n + _MOST_PADDED] if len(each.cells) in widths]
    return _is_header(below) and not any(map(is_typed, row.cells))


def _typed_cells(rows: Sequence[Row]) -> int:
    """Return the numbers and times in columns that hold mostly these."""
    width = max(len(row.cells) for row in rows)
    count = 0
    for cells in columns_of_rows(rows, width):
        typed = sum(map(is_typed, cells))
        count += typed if 2 * typed >= len(cells) else 0
    return count


def _heads(above: Row, first: Row) -> bool:
    """Whether a row names the columns of the longer row below it, but not its label or end."""
    is_next = above.line == first.line - 1
    return (
        is_next
        and len(above.cells) == len(first.cells) - 1
        and not any(is_number(cell) or is_time(cell) for cell in above.cells)
    )


def _is_header(table: Sequence[Row]) -> bool:
    """Whether the first row of a table below other lines certainly names its columns."""
    names, body = table[0].cells, table[1:]
    columns = columns_of_rows(body, len(names))
    typed = [n for n, cells in enumerate(columns) if cells and is_typed_column(cells)]
    return bool(typed) and not any(is_typed(names[n]) or not names[n] for n in typed)
