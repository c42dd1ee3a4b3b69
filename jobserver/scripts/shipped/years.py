"""Hydrological years: which one a time belongs to, and which are complete."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from jobserver.scripts.shipped.steps import (
    advise_zone,
    complete_counts,
    needed,
    regular_step,
    set_kwargs,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: Number of a month, from 1 (January).
Month = Annotated[int, Ge(1), Le(12)]
#: Percent of the values of a year below which no coverage is advised.
_LEAST_PERCENT = 50
_log = logging.getLogger("jobserver")


def years_of(
    times: pd.DatetimeIndex, start_month: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the hydrological year of each time: the calendar year in which it ends."""
    later = (times.month >= start_month) & (start_month > 1)
    years: np.ndarray[tuple[int], np.dtype[np.int64]] = (times.year + later).to_numpy("int64")
    return years


def complete_years(
    values: pd.DataFrame, start_month: int, coverage: float, least: int = 1
) -> list[int]:
    """Return the hydrological years with enough values in each column, and log the others.

    A table with at most one row in each year has annual values, which are complete.

    Parameters
    ----------
    values : pandas.DataFrame of shape (n, m)
        Numeric columns, ordered by their times, none of which occurs twice.
    start_month : int
        Month in which the years begin.
    coverage : float
        Share of its values that a year must have.
    least : int
        Number of years that are needed.

    Raises
    ------
    ValueError
        If the times have no regular step, or too few years are complete.
    """
    if values.empty:
        raise ValueError("There are no values with a time.")
    years = years_of(values.index, start_month)
    if advice := advise_zone(values.index):
        _log.warning("%s", advice)
    counts = values.groupby(years).count()
    counts = counts.reindex(range(years.min(), years.max() + 1), fill_value=0)
    if len(years) == len(set(years)):
        _log.warning("no year has two rows: the rows are taken as annual values")
        enough = (counts > 0).all(axis=1)
        shares = enough.astype("float64")
    else:
        complete = _complete(counts.index, values.index, start_month)
        wanted = [needed(each, coverage) for each in complete.tolist()]
        enough = counts.ge(wanted, axis=0).all(axis=1)
        shares = counts.min(axis=1) / complete
        for line in _incomplete(counts, complete, enough):
            _log.warning("%s", line)
    found = [int(year) for year in counts.index[enough]]
    if len(found) < least:
        share = f"{100 * coverage:g}%"
        lack = f"No hydrological year from month {start_month:02d} has {share} of its values"
        if found:
            lack = f"The script needs at least {least} complete years, has {len(found)}"
        raise ValueError(f"{lack}: {_ways(shares, least)}.{advice and f' Note: {advice}.'}")
    return found


def _ways(shares: pd.Series[float], least: int) -> str:
    """Return what gives so many years: a lower coverage only if their gaps are small."""
    reached = math.floor(100 * shares.nlargest(least).iloc[-1]) if len(shares) >= least else 0
    if reached < _LEAST_PERCENT:
        return "bind a longer series"
    lower = set_kwargs(coverage=reached / 100)
    return f"bind a longer series, fill its gaps, or set {lower}"


def _complete(
    years: pd.Index, times: pd.DatetimeIndex, start_month: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return how many values each year would have without gaps."""
    import pandas as pd

    first = years - (start_month > 1)
    parts = {"month": start_month, "day": 1}
    starts = pd.DatetimeIndex(pd.to_datetime(pd.DataFrame({"year": first, **parts})))
    ends = pd.DatetimeIndex(pd.to_datetime(pd.DataFrame({"year": first + 1, **parts})))
    return complete_counts(starts, ends, regular_step(times, "A sum of years"), times.tz)


def _incomplete(
    counts: pd.DataFrame, complete: Iterable[int], enough: Iterable[bool]
) -> Iterator[str]:
    """Yield a line for each year and column without all values."""
    for (year, row), whole, used in zip(counts.iterrows(), complete, enough, strict=True):
        for name, count in row.items():
            if count < whole:
                how = f"year {year} is used although" if used else f"left out year {year}:"
                yield f"{how} {name} has {count} of {whole} values"
