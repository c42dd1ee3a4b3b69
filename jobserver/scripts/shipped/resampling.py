"""Statistics of periods: hours, days, weeks, months, quarters and years."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobserver.encoding.zones import zone_of
from jobserver.scripts.shipped.columns import Columns, timetable
from jobserver.scripts.shipped.repeats import check_one_series, first_values
from jobserver.scripts.shipped.steps import (
    Count,
    Period,
    Share,
    Zone,
    advise_zone,
    check_period,
    complete_counts,
    needed,
    set_kwargs,
    shown_time,
    usual_step,
)
from jobserver.scripts.shipped.timeseries import How

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.tseries.offsets import BaseOffset

    Counts = np.ndarray[tuple[int], np.dtype[np.int64]]

#: From here on, floats do not hold all integers.
_WHOLE = 2.0**53
#: Periods that memory can hold.
_MOST_PERIODS = 20_000_000
_log = logging.getLogger("jobserver")


def resample(
    data: pd.DataFrame,
    period: Period = "1D",
    how: How = "mean",
    column: Columns | None = None,
    time: str | None = None,
    zone: Zone | None = None,
    min_count: Count = 1,
    coverage: Share | None = None,
) -> pd.DataFrame:
    """Resample a time series to another step, such as one value for each day, month or year.

    Missing values are ignored; a period without any value is missing. By default a period with some
    of its values is not, and the log says so: set `min_count` or `coverage` to leave it missing.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    period : str
        The new step: ``15min``, ``1h``, ``1D``, ``W`` (weeks from Monday), ``W-SAT`` (weeks to
        Saturday), ``MS`` (months), ``QS`` (quarters), ``YS`` (years) or ``YS-NOV`` (hydrological
        years from November). ``ME``, ``QE`` and ``YE-OCT`` are understood as the same periods. The
        number before the unit is whole.
    how : str
        The statistic of the values in a period. Use ``sum`` for amounts such as precipitation,
        ``mean`` for rates such as discharge.
    column : str or list of str
        The columns to use; by default all numeric ones.
    time : str
        The column of times, if there are several.
    zone : str
        IANA name of a time zone, such as ``Europe/Berlin``, whose days, months and years to use,
        with daylight saving time, or its offset from UTC, such as ``+01:00``. Times without a zone
        are taken as UTC.
    min_count : int
        Number of values in a period below which the result is missing; ``count`` is not affected.
        Values of the same time count once.
    coverage : float
        The same as a share of the values in a complete period: ``0.9`` for nine in ten. Needs times
        with a regular step, and those of one series.

    Returns
    -------
    pandas.DataFrame
        The columns, in their units, labelled with the start of each period: with `zone`, its local
        date.

    Raises
    ------
    ValueError
        If there are no times or no numbers, several columns of times and none is named, the period
        or zone is invalid, or `coverage` is given but the step is not regular, or another column
        tells rows of the same time apart, as in a table of several stations.

    References
    ----------
    .. [1] World Meteorological Organization (2008): Guide to Hydrological Practices, volume I.
       WMO-No. 168, 6th edition, Geneva.
    """
    _check_days(period, offset := _start_of(period), zone)
    table = timetable(data, column, time, zone)
    step, first = usual_step(table.index), first_values(table)
    if zone is not None:
        table = table.set_axis(table.index.tz_localize(None), axis=0)
    elif _is_of_days(offset) and (advice := advise_zone(table.index)):
        _log.warning("%s", advice)
    _check_number(table.index, period, offset)
    periods = (_summable(table) if how == "sum" else table).resample(
        offset, closed="left", label="left"
    )
    if how == "count":
        return periods.count()
    check_one_series(table, coverage)
    counts = first.set_axis(table.index).resample(offset, closed="left", label="left").sum()
    complete = None if step is None else _complete(counts.index, offset, zone, step)
    least = _least(complete, min_count, coverage)
    _log_incomplete(counts, complete, least, has_limit=coverage is not None or min_count > 1)
    found = periods.sum(min_count=1) if how == "sum" else getattr(periods, how)()
    return found.where(counts.ge(least, axis=0))


def _summable(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as floats if sums of its integers could wrap around."""
    floats = table.astype("float64")
    return floats if (floats.abs().max() * len(table) >= _WHOLE).any() else table


def _start_of(period: str) -> BaseOffset:
    """Return the pandas offset from start to start of periods, however pandas labels them."""
    from pandas.tseries import offsets
    from pandas.tseries.frequencies import to_offset

    offset: BaseOffset = to_offset(check_period(period))
    n = offset.n
    match offset:
        case offsets.Week():
            offset = offsets.Week(n, weekday=(offset.weekday + 1) % 7)
        case offsets.MonthEnd():
            offset = offsets.MonthBegin(n)
        case offsets.QuarterEnd():
            offset = offsets.QuarterBegin(n, startingMonth=offset.startingMonth % 12 + 1)
        case offsets.YearEnd():
            offset = offsets.YearBegin(n, month=offset.month % 12 + 1)
    return offset


def _check_number(times: pd.DatetimeIndex, period: str, offset: BaseOffset) -> None:
    """Raise `ValueError` if there would be more periods than memory can hold."""
    if times.empty:
        return
    number = (times[-1] - times[0]) // (times[0] + offset - times[0])
    if number > _MOST_PERIODS:
        raise ValueError(
            f"From {times[0]} to {times[-1]} there are {number:,} periods of {period}, more than "
            f"{_MOST_PERIODS:,}: choose a longer one."
        )


def _check_days(period: str, offset: BaseOffset, zone: str | None) -> None:
    """Raise `ValueError` if periods are shorter than the days of a zone."""
    if zone is not None and not _is_of_days(offset):
        raise ValueError(
            f"zone is for days and longer periods: leave it out for {period}, or write 1D for days."
        )


def _is_of_days(offset: BaseOffset) -> bool:
    """Whether periods are days of the calendar, or made of them."""
    from pandas.tseries import offsets

    return not isinstance(offset, offsets.Tick) or isinstance(offset, offsets.Day)


def _complete(
    starts: pd.DatetimeIndex, offset: BaseOffset, zone: str | None, step: pd.Timedelta
) -> Counts:
    """Return how many values each period would have without gaps: shape (periods,)."""
    return complete_counts(starts, starts + offset, step, None if zone is None else zone_of(zone))


def _least(complete: Counts | None, min_count: int, coverage: float | None) -> Counts | int:
    """Return how many values each period must have, at least: shape (periods,) or a number."""
    if coverage is None:
        return min_count
    if complete is None:
        raise ValueError(
            "coverage needs times with a regular step: set min_count instead, such as "
            f"{set_kwargs(min_count=10)}."
        )
    import numpy as np

    return np.maximum([needed(int(count), coverage) for count in complete], min_count)


def _log_incomplete(
    counts: pd.DataFrame, complete: Counts | None, least: Counts | int, *, has_limit: bool
) -> None:
    """Log how many periods have too few values, and how many of the others lack some."""
    few = (counts.lt(least, axis=0) & (counts > 0)).any(axis=1)
    if few.any():
        _log.warning("left missing for too few values: %d of %d periods", few.sum(), len(counts))
    if complete is None:
        return
    fewest = counts.where(counts.ge(least, axis=0) & (counts > 0)).min(axis=1)
    partly = fewest < complete
    if partly.any():
        first = partly.to_numpy().argmax()
        _log.warning(
            "computed from some of the values: %d of %d periods, such as %s with %d of %d%s",
            *(partly.sum(), len(counts), shown_time(counts.index[first], counts.index)),
            *(fewest.iloc[first], complete[first]),
            "" if has_limit else f"; to leave them missing, set {set_kwargs(coverage=0.9)}",
        )
