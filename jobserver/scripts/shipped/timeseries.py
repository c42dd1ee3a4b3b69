"""Statistics of time series: tables with numeric columns and times, in a column or as labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

How = Literal["mean", "sum", "min", "max", "median", "std", "count"]
#: NumPy's kinds of real numbers: signed and unsigned integers, floats.
NUMERIC = "iuf"
_SPAN = re.compile(r"(\d*\.?\d+)?(s|min|h|D|W)", re.ASCII)


def summary(data: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Describe every numeric column by its count, mean, spread and quantiles.

    Missing values are ignored.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table, or what can become one: a series, a list of numbers, an object of lists.
        A single unnamed column is called ``value``.

    Returns
    -------
    dict
        For each numeric column ``count``, ``mean``, ``std``, ``min``, ``25%``, ``50%``, ``75%``
        and ``max``, in this order. All but the count have the unit of the column.
        The standard deviation is that of a sample (divided by n - 1).

    Raises
    ------
    ValueError
        If the data is not a table with a numeric column.

    Notes
    -----
    Quantiles are interpolated linearly between the two nearest values: type 7 of [1]_.

    References
    ----------
    .. [1] R. J. Hyndman and Y. Fan (1996): Sample quantiles in statistical packages.
       The American Statistician 50 (4), 361-365. doi:10.1080/00031305.1996.10473566
    """
    numeric = [column for _, column in table_of(data).items() if column.dtype.kind in NUMERIC]
    if not numeric:
        raise ValueError("The data has no numeric column: bind a table with at least one.")
    return {str(column.name): _describe(column) for column in numeric}


def resample(data: pd.DataFrame, period: str = "1D", how: How = "mean") -> pd.DataFrame:
    """Resample a time series to another step, such as one value for each day, month or year.

    Missing values are ignored; a period without any value is missing.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    period : str
        The new step, such as ``15min``, ``1h``, ``1D``, ``MS`` (months) or ``YS`` (years).
    how : str
        The statistic of the values in a period. Use ``sum`` for amounts such as precipitation,
        ``mean`` for rates such as discharge.

    Returns
    -------
    pandas.DataFrame
        The numeric columns, in their units, labelled with the start of each period.

    Raises
    ------
    ValueError
        If there are no times or no numbers, or the period is invalid.

    References
    ----------
    .. [1] World Meteorological Organization (2008): Guide to Hydrological Practices, volume I.
       WMO-No. 168, 6th edition, Geneva.
    """
    table = timetable(data)
    try:
        periods = table.resample(period)
    except (ValueError, ZeroDivisionError) as error:
        message = f"{period!r} is not a valid period: write 15min, 1h, 1D, MS or YS."
        raise ValueError(message) from error
    if how == "sum":
        return periods.sum(min_count=1)
    found: pd.DataFrame = getattr(periods, how)()
    return found


def rolling(data: pd.DataFrame, window: str = "7D", how: How = "mean") -> pd.DataFrame:
    """Smooth a time series: compute a statistic over the time window that ends at each value.

    Missing values are ignored. At the start, windows contain only the values available so far.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    window : str
        Length of the window, such as ``6h``, ``7D`` or ``4W``; it excludes its own start.
    how : str
        The statistic. ``std`` is that of a sample (divided by n - 1).

    Returns
    -------
    pandas.DataFrame of shape (n, k)
        The k numeric columns, in their units, ordered by time.

    Raises
    ------
    ValueError
        If there are no times or no numbers, or the window is invalid.

    References
    ----------
    .. [1] C. Chatfield (2003): The Analysis of Time Series: An Introduction. 6th edition,
       Chapman & Hall/CRC.
    """
    found: pd.DataFrame = getattr(timetable(data).rolling(span(window, "window")), how)()
    return found


def gaps(data: pd.DataFrame, frequency: str | None = None) -> pd.DataFrame:
    """Find gaps in a time series that should have a value at each step.

    A row without any number counts as missing. Times may deviate by up to half a step.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table with times.
    frequency : str
        The expected step, such as ``15min``, ``1h`` or ``1D``; by default the most common one.

    Returns
    -------
    pandas.DataFrame
        A row for each gap: ``before`` and ``after``, the times of the values around it, and
        ``missing``, the number of missing values.

    Raises
    ------
    ValueError
        If there are no times or no numbers, or the frequency is invalid.

    References
    ----------
    .. [1] World Meteorological Organization (2008): Guide to Hydrological Practices, volume I.
       WMO-No. 168, 6th edition, Geneva.
    """
    import pandas as pd

    times = timetable(data).dropna(how="all").index.unique().to_series()
    steps = times.diff()
    if frequency is None and len(times) < 2:
        raise ValueError("There are fewer than two values: set the expected frequency.")
    step = steps.mode().iloc[0] if frequency is None else span(frequency, "frequency")
    missing = (steps / step).round() - 1
    found = pd.DataFrame({"before": times.shift(), "after": times, "missing": missing})
    return found[missing > 0].astype({"missing": int}).reset_index(drop=True)


def _describe(column: pd.Series[object]) -> dict[str, float]:
    return {str(name): float(value) for name, value in column.astype("float64").describe().items()}


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
            f"The data is not a table: bind a data file, or a list of numbers ({error})."
        ) from error
    unnamed = table.columns.equals(pd.RangeIndex(1))
    return table.set_axis(["value"], axis="columns") if unnamed else table


def timetable(data: object) -> pd.DataFrame:
    """Return the numeric columns, labelled with their times and ordered by them."""
    import pandas as pd

    table = table_of(data)
    if not isinstance(table.index, pd.DatetimeIndex):
        names = [name for name, column in table.items() if column.dtype.kind == "M"]
        if not names:
            raise ValueError(
                "The data has no times: bind a table with a column of times such as "
                '2018-09-05T17:24, or name its datatype "timeseries".'
            )
        table = table.set_index(names[0])
    numeric = [n for n, dtype in enumerate(table.dtypes) if dtype.kind in NUMERIC]
    if not numeric:
        raise ValueError("The data has no numeric column: bind a table with at least one.")
    return table.iloc[:, numeric][table.index.notna()].sort_index()


def column_of(data: object, name: str | None) -> pd.Series[object]:
    """Return a numeric column, by default the first; `ValueError` if there is none."""
    table = table_of(data)
    numeric = {str(key): column for key, column in table.items() if column.dtype.kind in NUMERIC}
    if name is None and numeric:
        return next(iter(numeric.values()))
    if name not in numeric:
        raise ValueError(f"There is no numeric column {name}, only: {', '.join(numeric) or 'none'}")
    return numeric[name]


def span(text: str, what: str) -> pd.Timedelta:
    """Return a time span of fixed length."""
    import pandas as pd

    found = _SPAN.fullmatch(text.strip())
    span = pd.Timedelta(float(found[1] or 1), found[2]) if found else pd.Timedelta(0)
    if span <= pd.Timedelta(0):
        raise ValueError(f"The {what} {text!r} is not a time span: write 15min, 1h, 1D or 2W.")
    return span
