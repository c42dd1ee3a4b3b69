"""Read a text table: find its layout, read its rows, and report what surrounds them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

from jobserver.sizes import counted
from jobserver.tables.cells import is_time, is_typed
from jobserver.tables.datatypes import check_width
from jobserver.tables.errors import AmbiguousTable, UnreadableTable
from jobserver.tables.layout import Layout, infer
from jobserver.tables.options import Options, advise
from jobserver.tables.row_reader import RowReader, offset_of_line
from jobserver.tables.rows import split_rows

if TYPE_CHECKING:
    import pandas as pd

_HEAD = 64 * 1024
_LONG_HEAD = 8 * 1024 * 1024
#: Lines of a wide table that are examined, too.
_FEWEST = 10
_log = logging.getLogger("jobserver")


def read_table(data: bytes, options: Options) -> pd.DataFrame:
    """Return the table in a text.

    Parameters
    ----------
    data : bytes
        The text in UTF-8.
    options : mapping
        See `jobserver.tables.options.TableOptions`.

    Raises
    ------
    UnreadableTable, AmbiguousTable, UnknownColumn, NotTimes
        If it is not a table, or one that can be read in several ways.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = _without_blank_end(data)
    layout = infer(_head(data), options)
    if not layout.width and len(data) > _HEAD:  # it begins with nothing but comments
        layout = infer(_head(data, _LONG_HEAD), options)
    if not layout.width:
        _refuse_empty(data, options)
    check_width(layout.width)
    _report_skipped_row(data, layout, options)
    _check_comments(data, layout)
    _report_odd_name(layout)
    if layout.comment:
        _log.info("The comment in line %d names the columns", layout.comment)
    if layout.skipped:
        _log.info("Left out: %s above the table", counted(layout.skipped, "line"))
    return RowReader(data, layout, options).read()


def _refuse_empty(data: bytes, options: Options) -> NoReturn:
    lines, skip = counted(len(data.splitlines()), "line"), options.get("skip")
    if skip and data:
        raise UnreadableTable(f'has {lines}, of which "skip" leaves out {skip}: set a lower number')
    raise UnreadableTable(f"has {lines}, all of them blank or comments" if data else "is empty")


def _check_comments(data: bytes, layout: Layout) -> None:
    """Check that no line within the table is a comment: its cells might be read as values."""
    start = offset_of_line(data, layout.start)
    if not layout.start or data.find(b"#", start) < 0:  # quick, as most tables have none
        return
    found = start if data.startswith(b"#", start) else data.find(b"\n#", start) + 1
    if found:
        line = data.count(b"\n", 0, found) + 1
        raise AmbiguousTable(
            f"has a line that starts with # within its rows, line {line}: remove it if it is a "
            "comment, or put its first cell in quotes"
        )


def _report_odd_name(layout: Layout) -> None:
    """Report a time among the names, as it may come from a line above the table."""
    times = [name for name in layout.names or () if is_time(name)]
    if layout.names and 0 < 2 * len(times) < len(layout.names):
        _log.warning(
            "The column name %s looks like a value; if its line does not belong to the table, %s",
            *(times[0], advise({"skip": layout.start})),
        )


def _report_skipped_row(data: bytes, layout: Layout, options: Options) -> None:
    """Report that the last line that ``skip`` leaves out is like the first row of values."""
    skip = options.get("skip")
    if not skip:
        return
    lines = _head(data).split("\n")
    kinds = []
    for line in (skip - 1, layout.start):
        row = next(split_rows(lines[line : line + 1], layout.separator), None)
        kinds.append([is_typed(cell) for cell in row.cells] if row else [])
    if kinds[0] == kinds[1] and any(kinds[0]):
        _log.warning("Line %d, which skip leaves out, looks like a row of the table", skip)


def _without_blank_end(data: bytes) -> bytes:
    """Return a text without the lines at its end that hold nothing but separators."""
    end, last = len(data), len(data)
    while end and not data[(start := data.rfind(b"\n", 0, end) + 1) : end].strip(b",;|\t "):
        last, end = start, max(start - 1, 0)
    return data if last == len(data) else data[:last]


def _head(data: bytes, size: int = _HEAD) -> str:
    """Return the first lines, all of them complete: more than a size if these are long."""
    size = max(size, min(offset_of_line(data, _FEWEST), _LONG_HEAD))
    end = data.rfind(b"\n", 0, size) + 1 if len(data) > size else len(data)
    return data[: end or size].decode("utf-8", "replace")
