"""The documents that tables and arrays are stored as: complete, and readable as JSON.

A DataFrame is::

    {"type": "dataframe",
     "columns": ["date", "value"],        labels, in order
     "index": null,                       labels; null for 0, 1, 2, ...
     "data": {"date": ["2018-01-01T00:00:00", ...], "value": [4.2, ...]},
     "dtypes": {"columns": "str", "index": "int64", "data": ["datetime64[us]", "float64"]},
     "names": {"columns": null, "index": null}}

``data`` has a list for each column, in the order of ``columns``, under the label's text, with a
number added if two labels have the same text. A Series has a list as ``data``, a single dtype, and
``name`` instead of ``columns``; an Index has only ``index``, ``dtypes`` and ``names``. Labels of a
MultiIndex are lists, with lists of dtypes and names, one for each level. An array is::

    {"type": "ndarray", "dtype": "float64", "shape": [2, 3], "data": [[1.0, ...], [...]]}

`jobserver.encoding.columns` describes the values. Not stored: the frequency of an index, ``attrs``,
ranges other than 0, 1, 2, ... (they become integers), and subclasses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from jobserver.encoding.columns import (
    Values,
    decode_column,
    decode_labels,
    hashable,
    live_column,
    live_labels,
)
from jobserver.encoding.table_columns import ColumnTable, Dtype, Encode, Head, Items, flatten
from jobserver.encoding.text import unescape_key, unique_keys
from jobserver.errors import BadRequest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_FIELDS = {
    "dataframe": {"type", "columns", "index", "data", "dtypes", "names"},
    "series": {"type", "name", "index", "data", "dtypes", "names"},
    "index": {"type", "index", "dtypes", "names"},
    "ndarray": {"type", "dtype", "shape", "data"},
}


def is_table(value: object) -> TypeGuard[Head]:
    """Whether a value has the fields of a stored table."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    return isinstance(kind, str) and value.keys() == _FIELDS.get(kind)


def labelled_table(value: object) -> Head | None:
    """Return a dict of columns, each a dict with the same labels, as a stored DataFrame.

    Parameters
    ----------
    value : object
        A stored result, such as that of the script ``summary``.

    Returns
    -------
    dict or None
        None if it has another shape.
    """
    if not isinstance(value, dict) or not value:
        return None
    columns = list(value.values())
    if not all(isinstance(each, dict) for each in columns):
        return None
    labels = columns[0].keys()
    cells = [cell for each in columns for cell in each.values()]
    if not labels or any(each.keys() != labels for each in columns):
        return None
    if any(isinstance(cell, dict | list) for cell in cells):
        return None
    data = {name: [each[label] for label in labels] for name, each in value.items()}
    dtypes = {"columns": "object", "index": "object", "data": ["object"] * len(data)}
    return {
        "type": "dataframe",
        "columns": [unescape_key(name) for name in data],
        "index": [unescape_key(label) for label in labels],
        "data": data,
        "dtypes": dtypes,
        "names": {"columns": None, "index": None},
    }


def decode_table(value: Head) -> Values:
    """Return the stored table.

    Parameters
    ----------
    value : dict
        What `is_table` accepts, with restored keys (`restore_keys`).

    Returns
    -------
    DataFrame, Series, Index or ndarray

    Raises
    ------
    BadRequest
        If it only resembles a table.
    """
    try:
        return _DECODERS[value["type"]](value)
    except Exception as error:  # numpy and pandas reject malformed tables in a dozen ways
        kind = value.get("type") if is_table(value) else "table"
        raise BadRequest(
            f"This resembles a {kind} but cannot be read as one; ask for json."
        ) from error


def from_frame(frame: pd.DataFrame, encode: Encode) -> ColumnTable:
    """Return a DataFrame by columns; `encode` encodes the objects in it."""
    dtypes, names, columns = live_labels(frame.columns, encode)
    index_dtypes, index_names, index = live_labels(frame.index, encode)
    data = [live_column(frame.iloc[:, n], encode) for n in range(frame.shape[1])]
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


def from_series(series: pd.Series, encode: Encode) -> ColumnTable:
    """Return a Series by columns."""
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


def from_index(index: pd.Index, encode: Encode) -> ColumnTable:
    """Return an Index or MultiIndex by columns."""
    dtypes, names, labels = live_labels(index, encode)
    head = {"type": "index", "index": True, "dtypes": {"index": dtypes}, "names": {"index": names}}
    return ColumnTable(head, [labels], len(index))


def from_array(array: np.ndarray, encode: Encode) -> ColumnTable:
    """Return a numpy array of one dimension or more by columns."""
    dtype, data = live_column(array.ravel(), encode)
    head = {"type": "ndarray", "dtype": dtype, "shape": list(array.shape), "data": None}
    return ColumnTable(head, [data], array.size)


def _is_plain_range(index: object) -> bool:
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _decode_axis(labels: Items, names: Any, dtypes: Dtype | list[Dtype]) -> pd.Index:
    import pandas as pd

    if not isinstance(dtypes, list):
        return decode_labels(dtypes, labels, names)
    columns = zip(*labels, strict=True) if labels else ([] for _ in dtypes)
    levels = [decode_labels(dtype, list(c)) for dtype, c in zip(dtypes, columns, strict=True)]
    return pd.MultiIndex.from_arrays(levels, names=[hashable(name) for name in names])


def _decode_part(value: Head, axis: str, rows: int) -> pd.Index:
    """Return an axis of a table; one without stored labels counts the rows."""
    import pandas as pd

    names, dtypes = value["names"][axis], value["dtypes"][axis]
    if value[axis] is None:
        return pd.RangeIndex(rows, name=hashable(names))
    return _decode_axis(value[axis], names, dtypes)


def _decode_frame(value: Head) -> object:
    import pandas as pd

    columns = zip(value["dtypes"]["data"], value["data"].values(), strict=True)
    arrays = [decode_column(dtype, data) for dtype, data in columns]
    series = {n: pd.Series(array, dtype=array.dtype) for n, array in enumerate(arrays)}
    index = _decode_part(value, "index", len(arrays[0]) if arrays else 0)
    frame = pd.DataFrame(series, index=None if series else index)
    return frame.set_axis(index, axis=0).set_axis(_decode_part(value, "columns", 0), axis=1)


def _decode_series(value: Head) -> object:
    import pandas as pd

    array = decode_column(value["dtypes"]["data"], value["data"])
    index = _decode_part(value, "index", len(array))
    return pd.Series(array, index=index, dtype=array.dtype, name=hashable(value["name"]))


def _decode_index(value: Head) -> object:
    return _decode_part(value, "index", 0)


def _decode_array(value: Head) -> object:
    shape = value["shape"]
    flat = flatten(value["data"], len(shape)) if value["data"] else []
    return decode_column(value["dtype"], flat).reshape(shape)


_DECODERS = {
    "dataframe": _decode_frame,
    "series": _decode_series,
    "index": _decode_index,
    "ndarray": _decode_array,
}
