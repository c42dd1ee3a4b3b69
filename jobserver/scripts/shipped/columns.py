"""Choose the columns that a script uses, and log what it leaves out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from annotated_types import MinLen

from jobserver.encoding.codes import MISSING_CODE
from jobserver.scripts.shipped.reasons import (
    NUMERIC,
    almost_times,
    as_list,
    check_names,
    check_only_one,
    how_to_get_numbers,
    no_such_times,
    not_numeric,
    reasons,
    remarks_of,
)
from jobserver.scripts.shipped.repeats import APART, explain_repeats
from jobserver.scripts.shipped.steps import in_zone, set_kwargs, shown_time

if TYPE_CHECKING:
    import pandas as pd

#: Names of one or several columns.
Columns = str | Annotated[list[str], MinLen(1)]
#: The same, or by the parameters that hold them.
ByParameter = Columns | Mapping[str, str]
#: What other negative numbers may be.
_MAY_BE = {
    "flows": "They may be backflow, or the offset of a sensor: correct them in the file",
    "values of precipitation": (
        "They may be traces, such as KNMI's -1 for less than 0.05 mm: replace them in the file, "
        "by 0 for example"
    ),
}
_log = logging.getLogger("jobserver")


def table_of(data: object) -> pd.DataFrame:
    """Return a table, series, list of numbers or object of lists as a table.

    Raises
    ------
    ValueError
        If the data cannot be a table.
    """
    import pandas as pd

    try:
        table = pd.DataFrame(data)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "The data is not a table: bind a data file, a list of numbers, or an object of lists "
            "of the same length."
        ) from error
    table.attrs = dict(getattr(data, "attrs", {}))  # with what the reader remarked
    unnamed = table.columns.equals(pd.RangeIndex(1))
    return table.set_axis(["value"], axis="columns") if unnamed else table


def numeric_columns(data: object, column: ByParameter | None) -> pd.DataFrame:
    """Return the named columns, or all numeric ones, with text as their names.

    Parameters
    ----------
    data : object
        What `table_of` takes.
    column : str, list of str or mapping
        Names of columns, also by the parameters that hold them; None for all numeric ones: the log
        names the others, except times.

    Raises
    ------
    ValueError
        If there is none, or a named one is not numeric.
    """
    table = table_of(data)
    names = [str(name) for name in table.columns]
    numeric = [n for n, dtype in enumerate(table.dtypes) if dtype.kind in NUMERIC]
    others = dict(not_numeric(table))
    if column is not None:
        wanted = {"column": column} if isinstance(column, str | list) else column
        check_names(wanted, [names[n] for n in numeric], others)
        chosen = dict.fromkeys(name for given in wanted.values() for name in as_list(given))
        numeric = [n for name in chosen for n in numeric if names[n] == name]
    elif not numeric:
        raise ValueError(f"The data has no numeric column{how_to_get_numbers(others)}")
    else:
        _log_left_out(others, remarks_of(table))
    return table.iloc[:, numeric].set_axis([names[n] for n in numeric], axis="columns")


def _log_left_out(columns: Mapping[str, str], remarks: Mapping[str, str]) -> None:
    """Log the columns that are not used, and why unless the reader has logged that."""
    for name, why in columns.items():
        if name not in remarks:
            _log.warning("left out %s: %s", name, why)
    if remarked := [name for name in columns if name in remarks]:
        _log.warning("left out, for the reasons above: %s", ", ".join(remarked))


def one_column(data: object, column: str | None) -> pd.Series[float]:
    """Return the named column, or the only one that has numbers.

    A column that is text because of some of its cells counts.

    Raises
    ------
    ValueError
        If there is no such column, more than one and none is named, or a value is infinite.
    """
    table = table_of(data)
    if column is None:
        check_only_one(table)
    chosen = numeric_columns(table, column)
    if chosen.shape[1] > 1:
        raise ValueError(f"{chosen.shape[1]} columns are called {column}: rename them.")
    _check_finite(chosen)
    return chosen.iloc[:, 0]


def timetable(
    data: object,
    column: ByParameter | None,
    time: str | None,
    zone: str | None = None,
    *,
    unique: bool = False,
) -> pd.DataFrame:
    """Return what `numeric_columns` does, labelled with times and ordered by them.

    Parameters
    ----------
    data : object
        What `table_of` takes.
    column : str, list of str or mapping
        See `numeric_columns`.
    time : str
        Name of the column of times; None for the row labels or the only such column.
    zone : str
        The time zone to convert times to, those without one taken as UTC; None for as they are.
    unique : bool
        Whether to refuse rows with the time of another row, which are logged otherwise.

    Raises
    ------
    ValueError
        If there are no times, several columns of times and none is named, no such columns or zone,
        or a value is infinite, or two rows have the same time and this is refused.
    """
    table = _in_order(numeric_columns(by_time(data, time), column))
    _check_finite(table)
    if unique:
        _check_unique(table)
    elif again := int(table.index.duplicated().sum()):
        apart = f"; {found}" if (found := table.attrs[APART]) else ""
        _log.warning("rows with the time of another row: %d; all are used%s", again, apart)
    return table.set_axis(in_zone(table.index, zone), axis=0)


def one_series(
    data: object, column: str | None, time: str | None, zone: str | None = None
) -> pd.Series[float]:
    """Return what `one_column` does, without missing values, labelled with its times in a zone.

    Raises
    ------
    ValueError
        As `timetable` and `one_column`, or if two values have the same time.
    """
    table = _in_order(one_column(by_time(data, time), column).to_frame())
    series = table.iloc[:, 0].dropna()
    _check_unique(series)
    return series.set_axis(in_zone(series.index, zone))


def by_time(data: object, time: str | None) -> pd.DataFrame:
    """Return a table with its times as row labels; see `timetable`.

    Its ``attrs`` say what tells apart rows of the same time: see `APART`.
    """
    table = _labelled(table_of(data), time)
    table.attrs[APART] = explain_repeats(table, table.index.name)
    return table


def _labelled(table: pd.DataFrame, time: str | None) -> pd.DataFrame:
    """Return the table with its times as row labels."""
    import pandas as pd

    if isinstance(table.index, pd.DatetimeIndex) and time in (None, table.index.name):
        return table
    names = [str(name) for name in table.columns]
    times = [n for n, dtype in enumerate(table.dtypes) if dtype.kind == "M"]
    found = [n for n in times if time is None or names[n] == time]
    if len(found) == 1:
        others = [n for n in range(len(names)) if n != found[0]]
        return table.iloc[:, others].set_axis(pd.DatetimeIndex(table.iloc[:, found[0]]), axis=0)
    if time is not None:
        raise ValueError(no_such_times(table, time, [names[n] for n in times]))
    if found:
        raise ValueError(
            f"The data has several columns of times: {', '.join(names[n] for n in times)}. Set "
            f"time to one of them, such as {set_kwargs(time=names[found[0]])}."
        )
    raise ValueError(
        "The data has no times: bind a table with a column of times such as 2018-09-05T17:24, or "
        f'set "times" in "data" to the column.{reasons(dict(almost_times(table)))}'
    )


def _check_unique(table: pd.DataFrame | pd.Series[float]) -> None:
    """Raise `ValueError` if a time, the label of a row, occurs twice."""
    times = table.index
    if times.has_duplicates:
        again = times[times.duplicated()]
        raise ValueError(
            f"There are rows with the time of another row: {len(again)}, such as "
            f"{shown_time(again[0], times)}. "
            f"{table.attrs[APART] or 'Bind a table with one row for each time'}."
        )


def _check_finite(table: pd.DataFrame) -> None:
    """Raise `ValueError` if a value is infinite: pandas counts it as missing in some statistics."""
    for name, column in table.items():
        infinite = column.abs() == math.inf
        if infinite.any():
            first = _where(column, int(infinite.to_numpy(bool, na_value=False).argmax()))
            raise ValueError(
                f"There are infinite values in {name}: {infinite.sum()}, the first {first}. "
                'If they stand for missing ones, set "missing": ["inf", "-inf"] in "data"; else '
                "correct them."
            )


def check_not_negative(values: pd.Series[float], what: str = "flows") -> None:
    """Raise `ValueError` if some values are negative, as codes of missing values are.

    Parameters
    ----------
    values : Series of shape (n,)
        Numbers in the order of the table, labelled by times or rows.
    what : str
        What they are: a key of `_MAY_BE`.
    """
    below = int((values < 0).sum())
    if not below:
        return
    row = int(values.reset_index(drop=True).idxmin())
    least = f"{values.iloc[row]:.15g}"
    if MISSING_CODE.fullmatch(least):
        advice = (
            f'If that is a code of missing values, set "missing": [{least}] in "data", which '
            "applies to all columns; else correct the data."
        )
    else:
        advice = (
            f"{_MAY_BE[what]}, and upload it again. The option missing would turn them into gaps, "
            "in all columns."
        )
    raise ValueError(
        f"There are negative {what}: {below}, such as {least} {_where(values, row)}. {advice}"
    )


def _where(values: pd.Series[float], row: int) -> str:
    """Return the time of a row, or its number, counted from 1."""
    is_timed = values.index.dtype.kind == "M"
    return f"at {shown_time(values.index[row], values.index)}" if is_timed else f"in row {row + 1}"


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a time, ordered by it, and log the others."""
    unknown = table.index.isna()
    if unknown.any():
        first = int(unknown.argmax()) + 1
        _log.warning("left out rows without a time: %d, the first is row %d", unknown.sum(), first)
    return table[~unknown].sort_index(kind="stable")
