"""Statistics of time series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Kinds of NumPy types that are real numbers: signed and unsigned integers, floats.
_NUMERIC = "iuf"


def summary(data: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Describe every numeric column by its count, mean, spread and quantiles.

    Missing values are left out.

    Parameters
    ----------
    data : pandas.DataFrame of shape (n, m)
        A table, or what makes one: a series, a list of numbers, an object of lists.
        A single column without a name is called ``value``.

    Returns
    -------
    dict
        For each numeric column ``count``, ``mean``, ``std``, ``min``, ``25%``, ``50%``, ``75%``
        and ``max``, in this order. All but the count have the unit of the column.
        The standard deviation is that of a sample (divided by n - 1).

    Raises
    ------
    ValueError
        If the data is no table, or a table without a numeric column.

    Notes
    -----
    Quantiles are interpolated linearly between the two nearest values: type 7 of [1]_.

    References
    ----------
    .. [1] R. J. Hyndman and Y. Fan (1996): Sample quantiles in statistical packages.
       The American Statistician 50 (4), 361-365. doi:10.1080/00031305.1996.10473566
    """
    numeric = [column for _, column in _table(data).items() if column.dtype.kind in _NUMERIC]
    if not numeric:
        raise ValueError("The data has no numeric column: bind a table with at least one.")
    return {str(column.name): _describe(column) for column in numeric}


def _describe(column: pd.Series[Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in column.astype("float64").describe().items()}


def _table(data: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.DataFrame(data)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The data is no table: bind a data file, or a list of numbers ({error})."
        ) from error
    unnamed = table.columns.equals(pd.RangeIndex(1))
    return table.set_axis(["value"], axis="columns") if unnamed else table
