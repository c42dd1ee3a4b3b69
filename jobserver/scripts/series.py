"""Tables and times as the shipped scripts take them; every refusal says what to bind instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: Kinds of NumPy types that are real numbers: signed and unsigned integers, floats.
NUMERIC = "iuf"
_SPAN = re.compile(r"(\d*\.?\d+)?(s|min|h|D|W)", re.ASCII)


def table_of(data: Any) -> pd.DataFrame:
    """A table of what makes one; `ValueError` if it does not.

    Parameters
    ----------
    data : Any
        A table, a series, a list of numbers, an object of lists.
    """
    import pandas as pd

    try:
        table = pd.DataFrame(data)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The data is no table: bind a data file, or a list of numbers ({error})."
        ) from error
    unnamed = table.columns.equals(pd.RangeIndex(1))
    return table.set_axis(["value"], axis="columns") if unnamed else table


def timetable(data: Any) -> pd.DataFrame:
    """The columns of numbers, labelled with their times and in their order."""
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
    numeric = [place for place, dtype in enumerate(table.dtypes) if dtype.kind in NUMERIC]
    if not numeric:
        raise ValueError("The data has no numeric column: bind a table with at least one.")
    return table.iloc[:, numeric][table.index.notna()].sort_index()


def column_of(data: Any, name: str | None) -> pd.Series[Any]:
    """A column of numbers, by default the first; `ValueError` if there is none."""
    table = table_of(data)
    numeric = {str(key): column for key, column in table.items() if column.dtype.kind in NUMERIC}
    if name is None and numeric:
        return next(iter(numeric.values()))
    if name not in numeric:
        raise ValueError(f"There is no numeric column {name}, only: {', '.join(numeric) or 'none'}")
    return numeric[name]


def span(text: str, what: str) -> pd.Timedelta:
    """A span of time that has always the same length."""
    import pandas as pd

    found = _SPAN.fullmatch(text.strip())
    span = pd.Timedelta(float(found[1] or 1), found[2]) if found else pd.Timedelta(0)
    if span <= pd.Timedelta(0):
        raise ValueError(f"The {what} {text!r} is no span of time; write 15min, 1h, 1D or 2W.")
    return span
