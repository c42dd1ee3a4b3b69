"""The shape in which tables and arrays are stored, readable as JSON and complete.

A DataFrame is::

    {"type": "dataframe",
     "columns": ["date", "value"],        labels, in order
     "index": null,                       labels; null for 0, 1, 2, ...
     "data": {"date": ["2018-01-01T00:00:00", ...], "value": [4.2, ...]},
     "dtypes": {"columns": "str", "index": "int64", "data": ["datetime64[us]", "float64"]},
     "names": {"columns": null, "index": null}}

``data`` has a list for each column, in the order of ``columns``, under the label's text, with a
number added where two labels have the same. A Series has its list as ``data``, its one dtype, and
``name`` instead of ``columns``; an Index is ``index``, ``dtypes`` and ``names`` alone. Labels of a
MultiIndex are lists, with a list of dtypes and of names, one for each level. An array is::

    {"type": "ndarray", "dtype": "float64", "shape": [2, 3], "data": [[1.0, ...], [...]]}

How values are written is told in `jobserver.encoding.columns`. Not kept: the frequency of an
index, ``attrs``, ranges other than 0, 1, 2, ... (they come back as integers), and subclasses.
"""

from __future__ import annotations

from typing import Any

from jobserver.encoding.columns import (
    Encode,
    decode_column,
    decode_labels,
    flatten,
    hashable,
)
from jobserver.encoding.keys import unique_keys
from jobserver.encoding.pandas_columns import live_column, live_labels
from jobserver.encoding.table_columns import ColumnTable
from jobserver.errors import BadRequest

Table = dict[str, Any]

_FIELDS = {
    "dataframe": {"type", "columns", "index", "data", "dtypes", "names"},
    "series": {"type", "name", "index", "data", "dtypes", "names"},
    "index": {"type", "index", "dtypes", "names"},
    "ndarray": {"type", "dtype", "shape", "data"},
}


def is_table(value: Any) -> bool:
    """Whether a value has the shape of a stored table."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    return isinstance(kind, str) and value.keys() == _FIELDS.get(kind)


def decode_table(value: Table) -> Any:
    """The table that was stored.

    Parameters
    ----------
    value : dict
        What `is_table` accepts, keys restored (`restore_keys`).

    Returns
    -------
    DataFrame, Series, Index or ndarray

    Raises
    ------
    BadRequest
        If it only looks like a table.
    """
    try:
        return _DECODERS[value["type"]](value)
    except Exception as error:  # numpy and pandas refuse in a dozen ways what is no table of theirs
        kind = value.get("type") if is_table(value) else "table"
        raise BadRequest(
            f"This is marked as a {kind} but cannot be read as one; ask for it as JSON."
        ) from error


def frame_sheet(frame: Any, encode: Encode) -> ColumnTable:
    """A DataFrame as a sheet; objects in it go through `encode`."""
    dtypes, names, columns = live_labels(frame.columns, encode)
    index_dtypes, index_names, index = live_labels(frame.index, encode)
    data = [live_column(frame.iloc[:, place], encode) for place in range(frame.shape[1])]
    plain = bool(data) and _is_plain_range(frame.index)
    head = {
        "type": "dataframe",
        "columns": columns.values(0, len(frame.columns)),
        "index": not plain,
        "data": unique_keys(frame.columns),
        "dtypes": {"columns": dtypes, "index": index_dtypes, "data": [dtype for dtype, _ in data]},
        "names": {"columns": names, "index": index_names},
    }
    labels = [] if plain else [index]
    return ColumnTable(head, labels + [column for _, column in data], len(frame))


def series_sheet(series: Any, encode: Encode) -> ColumnTable:
    """A Series as a sheet."""
    dtypes, names, index = live_labels(series.index, encode)
    dtype, data = live_column(series, encode)
    plain = _is_plain_range(series.index)
    head = {
        "type": "series",
        "name": encode([series.name])[0],
        "index": not plain,
        "data": None,
        "dtypes": {"index": dtypes, "data": dtype},
        "names": {"index": names},
    }
    return ColumnTable(head, [data] if plain else [index, data], len(series))


def index_sheet(index: Any, encode: Encode) -> ColumnTable:
    """An Index or MultiIndex as a sheet."""
    dtypes, names, labels = live_labels(index, encode)
    head = {
        "type": "index",
        "index": True,
        "dtypes": {"index": dtypes},
        "names": {"index": names},
    }
    return ColumnTable(head, [labels], len(index))


def array_sheet(array: Any, encode: Encode) -> ColumnTable:
    """A numpy array of one dimension or more as a sheet."""
    dtype, data = live_column(array.ravel(), encode)
    head = {"type": "ndarray", "dtype": dtype, "shape": list(array.shape), "data": None}
    return ColumnTable(head, [data], array.size)


def _is_plain_range(index: Any) -> bool:
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _decode_axis(labels: list[Any], names: Any, dtypes: Any) -> Any:
    import pandas as pd

    if not isinstance(dtypes, list):
        return decode_labels(dtypes, labels, names)
    columns = zip(*labels, strict=True) if labels else ([] for _ in dtypes)
    levels = [decode_labels(dtype, list(c)) for dtype, c in zip(dtypes, columns, strict=True)]
    return pd.MultiIndex.from_arrays(levels, names=[hashable(name) for name in names])


def _decode_part(value: Table, axis: str, rows: int) -> Any:
    """An axis of a table; one that was not written out counts the rows."""
    import pandas as pd

    names, dtypes = value["names"][axis], value["dtypes"][axis]
    if value[axis] is None:
        return pd.RangeIndex(rows, name=hashable(names))
    return _decode_axis(value[axis], names, dtypes)


def _decode_frame(value: Table) -> Any:
    import pandas as pd

    columns = zip(value["dtypes"]["data"], value["data"].values(), strict=True)
    arrays = [decode_column(dtype, data) for dtype, data in columns]
    series = {place: pd.Series(array, dtype=array.dtype) for place, array in enumerate(arrays)}
    index = _decode_part(value, "index", len(arrays[0]) if arrays else 0)
    frame = pd.DataFrame(series, index=None if series else index)
    return frame.set_axis(index, axis=0).set_axis(_decode_part(value, "columns", 0), axis=1)


def _decode_series(value: Table) -> Any:
    import pandas as pd

    array = decode_column(value["dtypes"]["data"], value["data"])
    index = _decode_part(value, "index", len(array))
    return pd.Series(array, index=index, dtype=array.dtype, name=hashable(value["name"]))


def _decode_index(value: Table) -> Any:
    return _decode_part(value, "index", 0)


def _decode_array(value: Table) -> Any:
    shape = value["shape"]
    flat = flatten(value["data"], len(shape)) if value["data"] else []
    return decode_column(value["dtype"], flat).reshape(shape)


_DECODERS = {
    "dataframe": _decode_frame,
    "series": _decode_series,
    "index": _decode_index,
    "ndarray": _decode_array,
}
