"""Find what stands at the top of a table: the names of its columns, and their units."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence, Set
from itertools import pairwise, zip_longest

from jobserver.sizes import counted
from jobserver.tables.cells import (
    COUNT,
    INTEGER,
    is_blank,
    is_dated,
    is_number,
    is_time,
    is_typed,
    is_unit,
)
from jobserver.tables.errors import AmbiguousTable, abridged
from jobserver.tables.options import Options, advise
from jobserver.tables.rows import (
    Row,
    columns_of_rows,
    is_typed_column,
    shown_cells,
    split_rows,
)

#: What a log says of units.
UNITS_READ = "A row below the header was read as units: %s"
#: Digits of a date without marks, which names nothing above others like it.
_LONG = 8
#: Digits of a year.
_YEAR = 4
#: Rows among which the first time of a column is looked for.
_LINES = 100
#: How dates are written, for people: YYYY-MM-DD hh:mm.
_DATE_FORMAT = re.compile(r"[YyMmDdHhSsf/.:T -]*")
#: What parts names in a comment, and names of columns of times.
_MARK = r"\s*[\t,;|]\s*"
_TIME_WORD = re.compile(
    r"(.*[\W\d_])?(date|time|datetime|timestamp|datum|zeit|day|tag)([\W\d_].*)?", re.IGNORECASE
)
_log = logging.getLogger("jobserver")
_RULE = re.compile(r"[-=_]+", re.ASCII)
#: Starts of cells that are values, if not plain numbers: <0.1, ~5, a minus of typography.
_VALUE = re.compile(r"[<>\u2264\u2265~\u2248\u00b1\u2212\u2013+-]?\s*\d")


def find_header(
    commented: Row | None, table: list[Row], separator: str, options: Options
) -> tuple[list[Row], tuple[str, ...] | None, str | None]:
    """Return the rows of values, the column names, and what rows have in addition to these.

    Parameters
    ----------
    commented : Row or None
        The comment above the table that names its columns; see `find_commented`.

    Raises
    ------
    AmbiguousTable
        If the first row may name the columns or not.
    """
    if commented:
        return table, tuple(commented.cells), None
    has_names = bool(options["header"]) if "header" in options else _names_columns(table)
    if not has_names or not table:
        _check_commas(table, separator, options)
        return table, None, None
    names, body = _without_comment_sign(table[0].cells), table[1:]
    surplus = _surplus(names, body, separator)
    if options.get("header") and not surplus and _is_like_values(table[0].cells, body):
        _log.warning(
            "Line %d names the columns, as header says, but looks like a row of values: %s",
            *(table[0].line, shown_cells(table[0])),
        )
    if surplus == "label":
        _check_commas(body, separator, options, [row.cells[0] for row in body])
    return body, names, surplus


def find_commented(
    comments: Sequence[tuple[int, str]], table: Sequence[Row], separator: str, options: Options
) -> Row | None:
    """Return the column names in the last comment, or in the one above it if that holds units.

    Parameters
    ----------
    comments : sequence of (int, str)
        The comments above the table, and their lines.

    Raises
    ------
    AmbiguousTable
        If the first row may name the columns, too.
    """
    if "header" in options or not table:
        return None
    rows = [row for line, text in comments[-2:] for row in split_rows([text], separator, line)]
    width = len(table[0].cells)
    fitting = [row for row in rows if len(row.cells) == width > 1]
    if parted := _parted_otherwise(comments, table[0]):
        return parted
    if not fitting or fitting[-1] is not rows[-1]:
        return None
    if not any(is_number(cell) or is_time(cell) for cell in table[0].cells):
        raise AmbiguousTable(
            f"has a last comment line and a first row (line {table[0].line}) that may both name "
            'the columns: remove one, or set "header": true in "data" if the row does'
        )
    return fitting[0] if _are_surely_units(fitting[-1].cells) else fitting[-1]


def _parted_otherwise(comments: Sequence[tuple[int, str]], first: Row) -> Row | None:
    """Return the comment that surely names the columns, whatever parts its names.

    It has as many as the first row has cells, and one of them says that a time is below it.
    """
    width = len(first.cells)
    rows = [
        Row(line, re.split(_MARK if re.search(_MARK, text) else r"\s+", text.strip()))
        for line, text in comments[-2:]
    ]
    for row in reversed(rows):
        if len(row.cells) != width or len({*row.cells}) < width:
            return None
        pairs = zip(row.cells, first.cells, strict=True)
        times = [_TIME_WORD.fullmatch(name) for name, cell in pairs if is_dated(cell)]
        if any(times) and not _are_surely_units(row.cells):
            return row
        if not _are_surely_units(row.cells):
            return None
    return None


def _are_surely_units(cells: Sequence[str]) -> bool:
    """Whether cells are units such as YYYY-MM-DD and m3/s, and not names such as t and v."""
    if not all(is_unit(cell) or _DATE_FORMAT.fullmatch(cell) for cell in cells):
        return False
    return any(not cell.isalnum() or "YYYY" in cell.upper() for cell in cells)


def find_units(
    names: Sequence[str] | None, body: list[Row], options: Options
) -> tuple[tuple[str, ...] | None, list[Row]]:
    """Return the row of units, without rules of dashes, and the rows below it.

    Raises
    ------
    AmbiguousTable
        If the first row may hold units or something else, or is not one of the table's.
    """
    if names is None or not body:
        return None, body
    first = [cell for cell in body[0].cells if cell]
    if body[1:] and first and all(map(_RULE.fullmatch, first)):
        return None, body[1:]
    missing = set(map(str, options.get("missing") or ()))
    if options.get("skip") is None:
        _check_start(body, missing)
    wanted = options.get("units")
    if wanted is None:
        wanted = _are_units(body, missing)
    return (tuple(body[0].cells), body[1:]) if wanted else (None, body)


def _check_start(body: Sequence[Row], missing: Set[str]) -> None:
    """Check that the rows above the first time of a column are not lines above the table.

    One of them may hold units.
    """
    for cells in zip_longest(*(row.cells for row in body[:_LINES]), fillvalue=""):
        if not cells[0] or is_typed(cells[0]):  # nearly always
            continue
        are_dates = [is_typed(cell) and not is_number(cell) for cell in cells]
        start = are_dates.index(True) if any(are_dates) else 0
        above, dates = cells[:start], are_dates[start:]
        if start < 2 or len(dates) < 3 or not all(dates):
            continue
        if not any(is_number(cell) or is_blank(cell) or cell in missing for cell in above):
            last, line = body[start - 1].line, body[start].line
            raise AmbiguousTable(
                f"has text above its times, {abridged(above[0])!r} in line {body[0].line}, so its "
                f"table may begin in line {line}: {advise({'skip': line - 1})}; to {last - 1} if "
                f"line {last} names the columns"
            )


def _without_comment_sign(cells: Sequence[str]) -> tuple[str, ...]:
    """Return names without the # before them, which other lines above keep from being a comment."""
    first = cells[0].removeprefix("#").strip()
    return (first or cells[0], *cells[1:])


def _names_columns(table: Sequence[Row]) -> bool:
    """Whether the first row names the columns: it is not typed like those below it."""
    if not table:
        return False
    first, body = table[0].cells, table[1:]
    labels = max(len(body[0].cells) - len(first), 0) if body else 0
    columns = columns_of_rows(body, len(first) + labels)[labels:]
    typed = [n for n, cells in enumerate(columns) if cells and is_typed_column(cells)]
    dates = [first[n] for n in typed if _is_date_above_numbers(first[n], columns[n])]
    if 1 < len(set(dates)) == len(dates):
        typed = [n for n in typed if first[n] not in dates]
        return not any(_is_value(first[n], columns[n]) for n in typed) or _ask_header(table[0])
    cells = [first[n] for n in typed or range(len(first)) if not is_blank(first[n])]
    if not cells or not all(map(is_typed, cells)):
        return not any(_is_value(first[n], columns[n]) for n in typed) or _ask_header(table[0])
    if not _may_be_names(cells):
        return bool(dates) and _ask_header(table[0], "times")
    texts = [n for n in range(len(first)) if typed and n not in typed and not is_typed(first[n])]
    if any(first[n] in columns[n] for n in texts):
        return False
    return bool(texts and _counts_up(cells)) or _ask_header(table[0])


def _is_like_values(first: Sequence[str], body: Sequence[Row]) -> bool:
    """Whether all cells above numbers and times look like these."""
    pairs = zip(first, columns_of_rows(body, len(first)), strict=True)
    above = [(cell, below) for cell, below in pairs if below and is_typed_column(below)]
    return bool(above) and all(
        _is_value(cell, below) and not _is_date_above_numbers(cell, below) for cell, below in above
    )


def _is_date_above_numbers(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell is a date or a time of day, and the cells of its column below are not."""
    return is_typed(cell) and not is_number(cell) and all(map(is_number, filter(is_typed, below)))


def _is_value(cell: str, below: Sequence[str]) -> bool:
    """Whether a cell above numbers and times is one of them, and not a name such as 2020."""
    if not is_typed(cell) or cell in below or not INTEGER.fullmatch(cell):
        return is_typed(cell)
    return len(cell) >= _LONG and {len(each) for each in below if is_number(each)} == {len(cell)}


def _may_be_names(cells: Sequence[str]) -> bool:
    """Whether cells are different integers, which may name columns."""
    return all(map(INTEGER.fullmatch, cells)) and len(set(cells)) == len(cells)


def _counts_up(cells: Sequence[str]) -> bool:
    """Whether integers are steps such as years."""
    steps = {int(after) - int(cell) for cell, after in pairwise(cells)}
    return len(steps) == 1 and steps != {0}


def _ask_header(first: Row, kind: str = "numbers") -> bool:
    raise AmbiguousTable(
        f"has {kind} in its first row (line {first.line}: {shown_cells(first)}), "
        'which may be column names or values: set "header": true or false in "data"'
    )


def _surplus(names: Sequence[str], body: Sequence[Row], separator: str) -> str | None:
    if not body or any(len(row.cells) != len(names) + 1 for row in body):
        return None
    if not any(row.cells[-1] for row in body):
        return "end"
    labels = [row.cells[0] for row in body]
    if separator == " " and len(set(labels)) < len(labels):
        raise AmbiguousTable(
            f"has {counted(len(names), 'word')} in line {body[0].line - 1}, {len(names) + 1} cells "
            f"in the rows below it, so it may not name the columns: {advise('skip', 'header')}"
        )
    return "label"


def _check_commas(
    body: Sequence[Row], separator: str, options: Options, labels: Sequence[str] = ()
) -> None:
    """Check that commas between integers part cells, as nothing but names show that.

    Raises
    ------
    AmbiguousTable
        If they may belong to numbers: by an option, or as rows have a cell more than the header.
    """
    marks = [name for name in ("decimal", "thousands") if options.get(name) == ","]
    is_settled = bool(options.get("separator")) or not labels or _are_row_numbers(labels)
    if separator != "," or not body or (is_settled and not marks):
        return
    columns = columns_of_rows(body, len(body[0].cells))
    if any("," in cell for cells in columns for cell in cells):  # in quotes
        return
    are_integers = [bool(cells) and all(map(INTEGER.fullmatch, cells)) for cells in columns]
    if any(first and second for first, second in pairwise(are_integers)):
        left_out = f'leave out "{marks[0]}" and ' if marks else ""
        raise AmbiguousTable(
            f"has commas in line {body[0].line} ({','.join(body[0].cells)[:60]}) that part cells "
            f"or belong to numbers: if they part cells, {left_out}{advise({'separator': ','})}; "
            "else put the numbers in quotes, or save it with ; between cells"
        )


def _are_row_numbers(labels: Sequence[str]) -> bool:
    """Whether labels are numbers of rows, as R writes them, and not years or dates."""
    return len(labels[0]) < _YEAR and all(map(COUNT.fullmatch, labels))


def _are_units(body: Sequence[Row], missing: Set[str]) -> bool:
    """Whether the first row is text in all columns of numbers and times, of which two or more.

    Raises
    ------
    AmbiguousTable
        If none of it is known as a unit.
    """
    first, others = body[0].cells, body[1:]
    columns = columns_of_rows(others, len(first))
    typed = [n for n, cells in enumerate(columns) if cells and all(map(is_typed, cells))]
    found = [first[n] for n in typed if not is_blank(first[n]) and first[n] not in missing]
    is_value = any(is_typed(cell) or _VALUE.match(cell) for cell in found)
    if len(typed) < 2 or not found or is_value:
        return False
    units = [first[n] for n in typed if first[n] in found and any(map(is_number, columns[n]))]
    if units and not any(map(is_unit, units)):
        raise AmbiguousTable(
            f"has text above its numbers, {abridged(units[0])!r} in line {body[0].line}: "
            f"for units, {advise({'units': True})}; for missing values, "
            f"{advise({'missing': [*dict.fromkeys(units)]})}; if the table begins below it, "
            f"{advise({'skip': body[0].line}, {'skip': body[0].line - 1})}"
        )
    return True
