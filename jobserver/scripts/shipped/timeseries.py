"""Statistics of time series: tables with numeric columns and times, in a column or as labels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from jobserver.scripts.shipped.columns import Columns, numeric_columns, timetable
from jobserver.scripts.shipped.repeats import check_one_series, first_values
from jobserver.scripts.shipped.steps import (
    Count,
    Share,
    Span,
    in_words,
    length_of,
    needed,
    regular_step,
)

if TYPE_CHECKING:
    import pandas as pd

How = Literal["mean", "sum", "min", "max", "median", "std", "count"]
_log = logging.getLogger("jobserver")


def summary(data: pd.DataFrame, column: Columns | None = None) -> dict[str, dict[str, float]]:
    """Describe every numeric column by its count, mean, spread and quantiles.

    Missing values are ignored. The log names the columns that are left out.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table, or what can become one: a series, a list of numbers, an object of lists.
        A single unnamed column is called ``value``.
    column : str or list of str
        The columns to describe; by default all numeric ones.

    Returns
    -------
    dict
        For each column ``count``, ``mean``, ``std``, ``min``, ``25%``, ``50%``, ``75%``
        and ``max``, in this order. All but the count have the unit of the column.
        The standard deviation is that of a sample (divided by n - 1).

    Raises
    ------
    ValueError
        If the data is not a table with a numeric column, or has no such column.

    Notes
    -----
    Quantiles are interpolated linearly between the two nearest values: type 7 of [1]_.

    References
    ----------
    .. [1] R. J. Hyndman and Y. Fan (1996): Sample quantiles in statistical packages.
       The American Statistician 50 (4), 361-365. doi:10.1080/00031305.1996.10473566
    """
    table = numeric_columns(data, column)
    return {str(name): _describe(values) for name, values in table.items()}


def rolling(
    data: pd.DataFrame,
    window: Span = "7D",
    how: How = "mean",
    column: Columns | None = None,
    time: str | None = None,
    min_count: Count = 1,
    coverage: Share | None = None,
) -> pd.DataFrame:
    """Smooth a time series: compute a statistic over the time window that ends at each value.

    Missing values are ignored. At the start, windows contain only the values available so far:
    set `min_count` or `coverage` to leave the result missing there, and beside gaps.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    window : str
        Length of the window, such as ``6h``, ``7D`` or ``4W``; it excludes its own start.
    how : str
        The statistic. ``std`` is that of a sample (divided by n - 1).
    column : str or list of str
        The columns to use; by default all numeric ones.
    time : str
        The column of times, if there are several.
    min_count : int
        Number of values in a window below which the result is missing; ``count`` is not affected.
        Values of the same time count once.
    coverage : float
        The same as a share of the values in a complete window: ``0.9`` for nine in ten. Needs times
        with a regular step, and those of one series.

    Returns
    -------
    pandas.DataFrame of shape (n, k)
        The k columns, in their units, ordered by time.

    Raises
    ------
    ValueError
        If there are no times or no numbers, several columns of times and none is named, the window
        is invalid, or `coverage` is given but the step is not regular, or another column tells
        rows of the same time apart, as in a table of several stations.

    References
    ----------
    .. [1] C. Chatfield (2003): The Analysis of Time Series: An Introduction. 6th edition,
       Chapman & Hall/CRC.
    """
    length = length_of(window)
    table = timetable(data, column, time)
    found: pd.DataFrame = getattr(table.rolling(length, min_periods=1), how)()
    if how == "count":
        return found
    least = min_count
    if coverage is not None:
        check_one_series(table, coverage)
        step = regular_step(table.index, "coverage")
        least = max(least, needed(max(length // step, 1), coverage))
    counts = first_values(table).rolling(length).sum()
    return found.where(counts.round() >= least)


def gaps(
    data: pd.DataFrame,
    frequency: Span | None = None,
    column: Columns | None = None,
    time: str | None = None,
) -> pd.DataFrame:
    """Find gaps in a time series that should have a value at each step.

    A step is missing if it has no row, or a row without any number in the columns. Times may
    deviate by up to half a step.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    frequency : str
        The expected step, such as ``15min``, ``1h`` or ``1D``; by default the most common one
        between rows, which is logged.
    column : str or list of str
        The column to examine. A list of columns is examined one by one. By default a row is missing
        if all numeric columns are.
    time : str
        The column of times, if there are several.

    Returns
    -------
    pandas.DataFrame
        A row for each gap: ``before`` and ``after``, the times of the values around it, and
        ``missing``, the number of missing values. ``before`` is missing if rows without values come
        first, ``after`` if they come last. With a list of columns the first column is ``column``.

    Raises
    ------
    ValueError
        If there are no times or no numbers, several columns of times and none is named, or the
        frequency is invalid.

    References
    ----------
    .. [1] World Meteorological Organization (2008): Guide to Hydrological Practices, volume I.
       WMO-No. 168, 6th edition, Geneva.
    """
    import pandas as pd

    table = timetable(data, column, time)
    step = _common_step(table.index) if frequency is None else length_of(frequency)
    if not isinstance(column, list):
        return _gaps(table.index, table.index[table.notna().any(axis=1)], step)
    found = {name: _gaps(table.index, table.index[table[name].notna()], step) for name in column}
    return pd.concat(found, names=["column"]).reset_index("column").reset_index(drop=True)


def _describe(column: pd.Series[object]) -> dict[str, float]:
    return {str(name): float(value) for name, value in column.astype("float64").describe().items()}


def _common_step(times: pd.DatetimeIndex) -> pd.Timedelta:
    steps = times.unique().to_series().diff().dropna()
    if steps.empty:
        raise ValueError("There are fewer than two times: set the expected frequency.")
    step = steps.mode()[0]
    _log.info("the most common step is %s; set frequency if you expect another", in_words(step))
    return step


def _gaps(rows: pd.DatetimeIndex, values: pd.DatetimeIndex, step: pd.Timedelta) -> pd.DataFrame:
    """Return the gaps between times with values, and before and after them."""
    import pandas as pd

    times = values.unique()
    before, after = times.insert(0, pd.NaT), times.insert(len(times), pd.NaT)
    missing = ((after - before) / step).to_numpy().round() - 1
    if len(times):
        missing[0] = round((times[0] - rows[0]) / step)
        missing[-1] = round((rows[-1] - times[-1]) / step)
    elif len(rows):
        missing[0] = round((rows[-1] - rows[0]) / step) + 1
    found = pd.DataFrame({"before": before, "after": after, "missing": missing})
    return found[missing > 0].astype({"missing": int}).reset_index(drop=True)
