"""Give the columns of a table their types: numbers, times, and text where they are neither.

All tables come this way, whether they were read from text, a workbook or JSON. A column becomes
numbers or times if all of its cells are, apart from missing ones. A column that almost does is
reported in the job's log, with the cell that prevents it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from jobserver.encoding.codes import MISSING_CODE
from jobserver.sizes import counted
from jobserver.tables.cells import REMARKS, is_clock
from jobserver.tables.errors import NotTimes, UnknownColumn, abridged, did_you_mean
from jobserver.tables.numbers import missing_numbers
from jobserver.tables.options import Options
from jobserver.tables.text_columns import (
    MAY_BE_TIMES,
    TextColumns,
    advise_times,
    spans_of_clocks,
    time_remark,
)
from jobserver.tables.time_formats import Where
from jobserver.tables.times import (
    TimesOption,
    in_zone,
    iso_times,
    parse_times,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_log = logging.getLogger("jobserver")
#: Cells of a column that show whether it holds times of day.
_FEW = 100
#: Most columns whose remarks are logged.
_MOST_LOGGED = 50
_HOURS = re.compile(r"hh?|hrs?|hours?|stunde|std|uur|heure|hora", re.IGNORECASE)
#: Integers that may be times: the year, month and day of 1800 to 2199, maybe hour, minute, second.
_COMPACT = {8: 1, 10: 100, 12: 10_000, 14: 1_000_000}


def unique_names(names: Sequence[str]) -> list[str]:
    """Return a unique name for each column: those without one are numbered, repeated ones too."""
    taken, counts, found = set(names), dict[str, int](), []
    for n, name in enumerate(names):
        first = name or f"Unnamed: {n}"
        unique = first
        while unique in counts or (unique is not name and unique in taken):
            counts[first] = counts.get(first, 0) + 1
            unique = f"{first}.{counts[first]}"
        counts.setdefault(unique, 0)
        found.append(unique)
    return found


def find_columns(names: Sequence[object], wanted: Sequence[str | int], option: str) -> list[int]:
    """Return the positions of columns.

    Parameters
    ----------
    names : sequence
        The names of the columns.
    wanted : sequence of str or int
        Names, or numbers from 0 on.
    option : str
        The option that names them.

    Raises
    ------
    UnknownColumn
        If there is no such column, or several of the name.
    """
    labels = [str(name) for name in names]
    found = []
    for each in wanted:
        if isinstance(each, int) and not isinstance(each, bool) and 0 <= each < len(labels):
            found.append(each)
        elif isinstance(each, str) and labels.count(each) == 1:
            found.append(labels.index(each))
        else:
            known = ", ".join(map(abridged, labels[:30])) + (", ..." if len(labels) > 30 else "")
            raise UnknownColumn(
                f'has no column {each!r}, which "{option}" names, but: {known or "no columns"}'
                + (did_you_mean(each, labels) if isinstance(each, str) else "")
            )
    return found


def find_times(names: Sequence[object], options: Options) -> tuple[TimesOption | None, list[int]]:
    """Return the option ``times``, if it is set, and the positions of its columns.

    Raises
    ------
    UnknownColumn
        If there is no such column.
    """
    option = TimesOption.parse(options.get("times"))
    return option, find_columns(names, option.columns, "times") if option else []


def find_dates(names: Sequence[object], options: Options) -> int | None:
    """Return the position of the column below whose dates a footer may stand.

    It is that of ``times``, or the first; None if it is one of ``text``. Numbers of columns count
    those that ``columns`` names.
    """
    wanted = options.get("columns")
    kept = find_columns(names, wanted, "columns") if wanted else [*range(len(names))]
    labels = [names[n] for n in kept]
    _, parts = find_times(labels, options)
    text = find_columns(labels, options.get("text") or (), "text")
    dates = kept[parts[0]] if parts else 0
    return None if dates in [kept[n] for n in text] else dates


def with_types(
    frame: pd.DataFrame, options: Options, where: Where, own: Sequence[int] = ()
) -> pd.DataFrame:
    """Return a table with typed columns.

    Parameters
    ----------
    frame : DataFrame of shape (n, m)
        The table; its text columns may hold numbers and times.
    options : mapping
        ``text``, ``times``, ``missing``, ``decimal``, ``thousands``.
    where : callable
        Returns where a row stands, such as ``line 7``.
    own : sequence of int
        Columns that are text as the file has it, and stay so.

    Raises
    ------
    NotTimes
        If ``times`` names columns that are not times.
    UnknownColumn
        If an option names a column that does not exist.
    """
    names = list(frame.columns)
    text = set(find_columns(names, options.get("text") or (), "text"))
    option, parts = find_times(names, options)
    typer = TextColumns(options, where)
    remarks = typer.remarks
    _type_columns(frame, typer, {*own} - text, text, parts)
    if option is None:
        _name_clocks(frame, remarks)
        frame = _with_joined_times(frame, text, typer)
    else:
        frame = _with_times(frame, option, parts, where)
    _log_remarks(remarks)
    _report_timeless(frame, where)
    _report_codes(frame, list(options.get("missing") or ()))
    if remarks:
        frame.attrs[REMARKS] = remarks
    return frame


def _type_columns(
    frame: pd.DataFrame, typer: TextColumns, own: set[int], text: set[int], parts: list[int]
) -> None:
    """Give the columns of a table their types, apart from those that hold text or the times."""
    for n, dtype in enumerate(frame.dtypes):
        if dtype.kind in "fb":  # most columns of a wide table: each look at one costs 50 us
            continue
        column = frame.iloc[:, n]
        if dtype.kind == "M" and column.dt.tz is not None:
            frame.isetitem(n, column.dt.tz_convert("UTC").array)
        elif n in own:
            typer.remark_dates(column, column.dropna())
        elif n not in text and n not in parts and _is_text(column):
            if (typed := typer.typed(column)) is not column:
                frame.isetitem(n, typed.array)
        elif dtype == "object" and n not in parts:
            typer.remark_mixed(column)
        elif typer.options.get("times") is None and _are_compact_dates(column):
            typer.remarks[str(frame.columns[n])] = time_remark([column], typer.where(0))


def _log_remarks(remarks: dict[str, str]) -> None:
    for name, remark in islice(remarks.items(), _MOST_LOGGED):
        _log.warning("The column %s: %s", abridged(name), remark)
    if len(remarks) > _MOST_LOGGED:
        more = counted(len(remarks) - _MOST_LOGGED, "other column")
        _log.warning("The same may be true of %s, as the remarks of the table say", more)


def without_missing(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return a table in which the values of the option ``missing`` are missing."""
    import numpy as np

    missing = options.get("missing")
    if not missing:
        return frame
    numbers = missing_numbers(options)
    texts = [str(value) for value in missing]
    for n, dtype in enumerate(frame.dtypes):
        if dtype.kind == "b":  # True is not 1
            continue
        column = frame.iloc[:, n]
        hidden = column.isin(numbers if dtype.kind in "iuf" else [*missing, *texts])
        if dtype == "object":
            hidden &= ~column.map(lambda cell: isinstance(cell, bool)).astype(bool)
        if hidden.any():
            wide = column.astype(float) if dtype.kind in "iu" else column
            frame.isetitem(n, wide.mask(hidden, np.nan).infer_objects())
    return frame


def with_own_types(
    frame: pd.DataFrame, options: Options, where: Where = lambda row: f"row {row + 1}"
) -> pd.DataFrame:
    """Return a table whose file knows the types of its columns as its options say.

    Text stays text, unless it is ISO times. See `with_types`.
    """
    frame = without_missing(frame, options)
    names = list(frame.columns)
    option, parts = find_times(names, options)
    text, own = find_columns(names, options.get("text") or (), "text"), list[int]()
    for n in range(frame.shape[1]):
        column = frame.iloc[:, n]
        if n not in (*text, *parts) and set(map(type, column.dropna())) == {str}:
            if option is None and (times := iso_times(column)) is not None:
                frame.isetitem(n, times.array)
            elif not all(map(is_clock, column.dropna())):
                own.append(n)
    return with_types(frame, options, where, own)


def _is_text(column: pd.Series) -> bool:
    """Whether a column holds text, maybe beside numbers as in JSON and workbooks."""
    if column.dtype != object:
        return bool(column.dtype.kind == "O")  # the text of pandas
    kinds = set(map(type, column.dropna()))
    return str in kinds and kinds <= {str, int, float}


def _name_clocks(frame: pd.DataFrame, remarks: dict[str, str]) -> None:
    """Name the times of day beside a date in the remark that it may be a time."""
    names = list(frame.columns)
    for n in range(len(names) - 1) if remarks else ():
        start, found, _ = remarks.get(str(names[n]), "").partition(MAY_BE_TIMES)
        if not found:
            continue
        pair = frame.iloc[:, n : n + 2].dropna()
        if _are_clocks(pair.iloc[:, 1]) or _are_hours(pair.iloc[:, 1]):
            where = start.rpartition(" in ")[2]
            remarks[str(names[n])] = time_remark([pair.iloc[:, 0], pair.iloc[:, 1]], where)


def _are_clocks(column: pd.Series) -> bool:
    return _is_text(column) and all(map(is_clock, column.head(_FEW)))


def _are_hours(column: pd.Series) -> bool:
    """Whether a column holds hours of the day, by its name and its cells."""
    is_named = _HOURS.fullmatch(str(column.name)) is not None
    return is_named and column.dtype.kind in "iu" and bool(column.between(0, 24).all())


def _are_compact_dates(column: pd.Series) -> bool:
    """Whether integers are such as 20200131, year, month and day, or 202001312359."""
    if column.dtype.kind not in "iu" or column.empty:
        return False
    scale = _COMPACT.get(len(str(column.iloc[0])), 0)
    if not scale or not column.between(18_000_101 * scale, 21_991_231 * scale + scale).all():
        return False
    days = column // scale
    return bool(((days // 100 % 100).between(1, 12) & (days % 100).between(1, 31)).all())


def _with_times(
    frame: pd.DataFrame, option: TimesOption, parts: list[int], where: Where
) -> pd.DataFrame:
    """Return a table with the columns that hold the times as one column."""
    columns = [frame.iloc[:, n] for n in parts]
    is_read = len(parts) == 1 and columns[0].dtype.kind == "M"
    if is_read and option.format:
        _log.info("The column %s: holds times, for which no format is needed", columns[0].name)
    try:
        if is_read:
            times = in_zone(columns[0], option.zone, where)
        else:
            texts = [_as_texts(column, len(parts) > 1) for column in columns]
            times = parse_times(texts, option, where)
    except NotTimes as error:
        names = " and ".join(str(column.name) for column in columns)
        raise NotTimes(f"has times, in {names}, that {error}") from error
    frame.isetitem(parts[0], times.array)
    rest = [n for n in range(frame.shape[1]) if n not in parts[1:]]
    return frame.iloc[:, rest]


def _as_texts(column: pd.Series, is_part: bool) -> pd.Series:
    """Return a column as text: dates without midnight if the time of day stands in another one."""
    if column.dtype == "str":
        return column
    if (
        is_part
        and column.dtype.kind == "M"
        and (column.dropna().dt.normalize() == column.dropna()).all()
    ):
        return column.dt.strftime("%Y-%m-%d").astype("str")
    return column.astype("object").map(_as_text, na_action="ignore").astype("str")


def _as_text(cell: object) -> str:
    """Return a cell as it was written: years may have become numbers, 24:00 a time span."""
    if isinstance(cell, timedelta):
        minutes, seconds = divmod(int(cell.total_seconds()), 60)
        return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _with_joined_times(frame: pd.DataFrame, text: set[int], typer: TextColumns) -> pd.DataFrame:
    """Return a table whose only dates, and the times of day beside them, are one column."""
    dates = [n for n, dtype in enumerate(frame.dtypes) if dtype.kind == "M"]
    if len(dates) != 1 or dates[0] + 1 >= frame.shape[1] or dates[0] + 1 in text:
        return frame
    day, clock = frame.iloc[:, dates[0]], frame.iloc[:, dates[0] + 1]
    first = clock.dropna().head(_FEW)
    if not _is_text(clock) or first.empty or 2 * sum(map(is_clock, first)) < len(first):
        return frame
    if (day.dropna() != day.dropna().dt.normalize()).any():
        return frame
    if odd := typer.find_odd_clock(clock, clock[day.notna()]):
        typer.remarks[str(clock.name)] = (
            f"is text beside dates, as {odd} is not a time of day like the others; if they belong "
            f"together, {advise_times([day.name, clock.name])}"
        )
        return frame
    frame.isetitem(dates[0], (day + spans_of_clocks(clock)).array)
    _log.info("The columns %s and %s were read as one time", day.name, clock.name)
    return frame.iloc[:, [n for n in range(frame.shape[1]) if n != dates[0] + 1]]


def _report_timeless(frame: pd.DataFrame, where: Where) -> None:
    """Report rows without a time in the only column of times."""
    found = [n for n, dtype in enumerate(frame.dtypes) if dtype.kind == "M"]
    if len(found) == 1 and (missing := frame.iloc[:, found[0]].isna().to_numpy()).any():
        rows, first = counted(int(missing.sum()), "row"), where(int(missing.argmax()))
        name = frame.columns[found[0]]
        total = "; if the last row is a total, remove it from the file" if missing[-1] else ""
        _log.warning("The column %s: no time in %s, the first in %s%s", name, rows, first, total)


def _report_codes(frame: pd.DataFrame, missing: list[object]) -> None:
    """Report numbers far from all others that look like codes of missing values."""
    import numpy as np

    for name, column in frame.items():
        if column.dtype.kind not in "iuf" or column.empty:
            continue
        cells = column.to_numpy()
        for code in {np.fmin.reduce(cells), np.fmax.reduce(cells)}:
            if np.isinf(code):
                _log.warning(
                    "The column %s: infinite in %s",
                    name,
                    counted(int((column == code).sum()), "row"),
                )
            elif MISSING_CODE.fullmatch(f"{code:.15g}") and _is_far_off(column, code):
                _log.warning(
                    "The column %s: %.15g in %s looks like a missing value; if it is, "
                    'set "missing": [%s] in "data"',
                    *(name, code, counted(int((column == code).sum()), "row")),
                    ", ".join([*map(json.dumps, missing), _exactly(code)]),
                )


def _exactly(number: np.generic) -> str:
    """Return a number in as few digits as read the same again."""
    short, exact = f"{number:.15g}", number.item()
    return short if float(short) == exact else repr(exact)


def _is_far_off(column: pd.Series, code: float) -> bool:
    others = column[(column != code) & column.notna()]
    if others.empty:
        return len(column) > 1
    low, high = others.min(), others.max()
    if code < 0 <= low:
        return True
    return bool(min(abs(code - low), abs(code - high)) > max(high - low, abs(high)))
