"""Conversion of loaded data into what the script gets; done in the child, with pandas.

What was loaded is JSON, perhaps a table as results are stored, or what a file was read as.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from jobserver.encoding import decode_table, is_table
from jobserver.errors import BadRequest
from jobserver.tables.datatypes import DatatypeMismatch, check, columns_of, labels_of
from jobserver.tables.dialect import is_time

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Table = TypeVar("Table", "pd.DataFrame", "pd.Series[Any]")

_ZONE = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$", re.ASCII)


def convert(value: Any, datatype: str) -> Any:
    """Make a value what its datatype says.

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
        If it cannot be made that.
    """
    if value is None or isinstance(value, dict | list | str | float | int):
        check(value, datatype)
        if datatype in _CONVERTERS and isinstance(value, dict) and is_table(value):
            value = _decoded(value)
    converter = _CONVERTERS.get(datatype)
    return converter(value) if converter else value


def with_times(frame: pd.DataFrame) -> pd.DataFrame:
    """The table, with columns of text that are surely times as times; with a zone they are UTC."""
    for place, dtype in enumerate(frame.dtypes):
        if dtype.kind == "O" and (times := _times(frame.iloc[:, place])) is not None:
            frame.isetitem(place, times.array)
    return frame


def _decoded(value: dict[str, Any]) -> Any:
    try:
        return decode_table(value)
    except BadRequest as error:
        raise DatatypeMismatch(f"is marked as a {value['type']}, but is none") from error


def _times(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """A column of text as times, or None if it is not surely one."""
    import pandas as pd

    present = column.dropna()
    if present.empty or not is_time(present.iloc[0]) or not _is_text(present):
        return None
    zoned = _ZONE.search(present.iloc[0]) is not None and present.str.contains(_ZONE).all()
    try:
        return pd.to_datetime(column, format="ISO8601", utc=bool(zoned))
    except ValueError:
        return None


def _is_text(column: pd.Series[Any]) -> bool:
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
            f"has {array.ndim} dimensions, a table has 2: name the datatype ndarray"
        )
    return pd.DataFrame(array)


def _timeseries(value: Any) -> pd.DataFrame:
    import pandas as pd

    frame = _series(value).to_frame("value") if _is_mapping(value) else _frame(value)
    frame = _with_time_labels(frame)
    if not isinstance(frame.index, pd.DatetimeIndex):
        frame = _indexed(frame, _place_of_times(frame))
    if frame.index.isna().any():
        raise DatatypeMismatch("has rows without a time")
    if frame.shape[1] == 1 and isinstance(frame.columns[0], int):
        frame.columns = ["value"]
    return frame


def _place_of_times(frame: pd.DataFrame) -> int:
    places = [place for place, dtype in enumerate(frame.dtypes) if dtype.kind == "M"]
    if not places:
        raise DatatypeMismatch("has no column of times such as 2018-09-05T17:24")
    return places[0]


def _indexed(frame: pd.DataFrame, place: int) -> pd.DataFrame:
    """The table with a column as its labels."""
    import pandas as pd

    others = [other for other in range(frame.shape[1]) if other != place]
    labels = frame.iloc[:, place]
    name = None if isinstance(labels.name, int) else labels.name
    return frame.iloc[:, others].set_axis(pd.Index(labels, name=name), axis=0)


def _with_time_labels(table: Table) -> Table:
    """The table or series, with labels that are surely times as times."""
    import pandas as pd

    if table.index.dtype.kind != "O":
        return table
    times = _times(pd.Series(table.index))
    return table if times is None else table.set_axis(pd.DatetimeIndex(times), axis=0)


def _series(value: Any) -> pd.Series[Any]:
    import pandas as pd

    if isinstance(value, pd.Series):
        return value
    if isinstance(value, dict):
        return _with_time_labels(pd.Series(list(value.values()), labels_of(value)))
    if isinstance(value, list):
        return pd.Series(value)
    frame = _frame(value)
    if frame.shape[1] not in (1, 2):
        raise DatatypeMismatch(
            f"has {frame.shape[1]} columns; a series has one, or labels and values"
        )
    frame = frame if frame.shape[1] == 1 else _indexed(frame, 0)
    column: pd.Series[Any] = frame.iloc[:, 0]
    return column


def _array(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, pd.DataFrame):
        texts = [str(name) for name, dtype in value.dtypes.items() if dtype.kind not in "biuf"]
        if texts:
            raise DatatypeMismatch(f"has columns that are no numbers: {', '.join(texts[:3])}")
        return np.asarray(value)
    array = np.array(value)
    return array.astype(float) if array.dtype == object else array


def _is_mapping(value: Any) -> bool:
    """Whether it is an object of labels and single values."""
    return isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values())


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "dataframe": _frame,
    "timeseries": _timeseries,
    "series": _series,
    "ndarray": _array,
}
