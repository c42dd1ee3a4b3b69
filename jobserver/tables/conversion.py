"""Convert loaded data to its datatype, in the child, with pandas.

Loaded data is JSON, maybe a table as results are stored, or the content of a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from jobserver.encoding import decode_table, is_table
from jobserver.errors import BadRequest
from jobserver.tables.datatypes import (
    DatatypeMismatch,
    check_datatype,
    columns_of,
    parse_labels,
)
from jobserver.tables.dialect import is_time

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Table = TypeVar("Table", "pd.DataFrame", "pd.Series[Any]")

_ZONE = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$", re.ASCII)


def convert(value: object, datatype: str) -> Any:
    """Convert a value to its datatype.

    Parameters
    ----------
    value : Any
        JSON, a DataFrame or an ndarray.
    datatype : str
        See `jobserver.tables.datatypes.DATATYPES`.

    Returns
    -------
    DataFrame
        For ``dataframe``, and for ``timeseries``, whose index is a DatetimeIndex.
    Series, ndarray, str
        For ``series``, ``ndarray`` and ``text``.
    Any
        The value itself for ``json``.

    Raises
    ------
    DatatypeMismatch
        If it does not match its datatype.
    """
    if value is None or isinstance(value, dict | list | str | float | int):
        check_datatype(value, datatype)
        if datatype in _CONVERTERS and isinstance(value, dict) and is_table(value):
            value = _decode(value)
    converter = _CONVERTERS.get(datatype)
    return converter(value) if converter else value


def with_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert text columns to times if they certainly are; those with a zone become UTC."""
    for n, dtype in enumerate(frame.dtypes):
        if dtype.kind == "O" and (times := _times(frame.iloc[:, n])) is not None:
            frame.isetitem(n, times.array)
    return frame


def _decode(value: dict[str, Any]) -> object:
    try:
        return decode_table(value)
    except BadRequest as error:
        raise DatatypeMismatch(f"resembles a {value['type']} but cannot be read as one") from error


def _times(column: pd.Series[object]) -> pd.Series[object] | None:
    """Return a text column as times; None unless it certainly is one."""
    import pandas as pd

    present = column.dropna()
    if present.empty or not is_time(present.iloc[0]) or not _is_text(present):
        return None
    zoned = _ZONE.search(present.iloc[0]) is not None and present.str.contains(_ZONE).all()
    try:
        return pd.to_datetime(column, format="ISO8601", utc=bool(zoned))
    except ValueError:
        return None


def _is_text(column: pd.Series[object]) -> bool:
    import pandas as pd

    return str(pd.api.types.infer_dtype(column)) == "string"


def _frame(value: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return value
    if isinstance(value, pd.Series):
        return value.to_frame("value" if value.name is None else value.name)
    if not isinstance(value, dict | list):
        return _frame_of_array(value)
    columns = columns_of(value)
    return with_times(pd.DataFrame(columns.data, index=columns.index))


def _frame_of_array(array: np.ndarray[Any, Any]) -> pd.DataFrame:
    import pandas as pd

    if array.ndim == 1:
        return pd.DataFrame({"value": array})
    if array.ndim > 2:
        raise DatatypeMismatch(
            f"has {array.ndim} dimensions, a table has 2: use the datatype ndarray"
        )
    return pd.DataFrame(array)


def _timeseries(value: object) -> pd.DataFrame:
    import pandas as pd

    frame = _series(value).to_frame("value") if _is_mapping(value) else _frame(value)
    frame = _with_time_labels(frame)
    if not isinstance(frame.index, pd.DatetimeIndex):
        frame = _with_index(frame, _find_times(frame))
    if frame.index.isna().any():
        raise DatatypeMismatch("has rows without a time")
    if frame.shape[1] == 1 and isinstance(frame.columns[0], int):
        frame.columns = ["value"]
    return frame


def _find_times(frame: pd.DataFrame) -> int:
    for n, dtype in enumerate(frame.dtypes):
        if dtype.kind == "M":
            return n
    raise DatatypeMismatch("has no column of times such as 2018-09-05T17:24")


def _with_index(frame: pd.DataFrame, column: int) -> pd.DataFrame:
    """Return the table with a column as its row labels."""
    import pandas as pd

    others = [other for other in range(frame.shape[1]) if other != column]
    labels = frame.iloc[:, column]
    name = None if isinstance(labels.name, int) else labels.name
    return frame.iloc[:, others].set_axis(pd.Index(labels, name=name), axis=0)


def _with_time_labels(table: Table) -> Table:
    """Convert row labels to times if they certainly are."""
    import pandas as pd

    if table.index.dtype.kind != "O":
        return table
    times = _times(pd.Series(table.index))
    return table if times is None else table.set_axis(pd.DatetimeIndex(times), axis=0)


def _series(value: object) -> pd.Series[object]:
    import pandas as pd

    if isinstance(value, pd.Series):
        return value
    if isinstance(value, dict):
        return _with_time_labels(pd.Series(list(value.values()), parse_labels(value)))
    if isinstance(value, list):
        return pd.Series(value)
    frame = _frame(value)
    if frame.shape[1] not in (1, 2):
        raise DatatypeMismatch(
            f"has {frame.shape[1]} columns; a series has one, or labels and values"
        )
    frame = frame if frame.shape[1] == 1 else _with_index(frame, 0)
    column: pd.Series[object] = frame.iloc[:, 0]
    return column


def _array(value: object) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, pd.DataFrame):
        texts = [str(name) for name, dtype in value.dtypes.items() if dtype.kind not in "biuf"]
        if texts:
            raise DatatypeMismatch(f"has columns that are not numeric: {', '.join(texts[:3])}")
        return np.asarray(value)
    array = np.array(value)
    return array.astype(float) if array.dtype == object else array


def _is_mapping(value: object) -> bool:
    """Whether it is an object of labels and single values."""
    return isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values())


_CONVERTERS: dict[str, Callable[[object], object]] = {
    "dataframe": _frame,
    "timeseries": _timeseries,
    "series": _series,
    "ndarray": _array,
}
