"""Tables and arrays as JSON, as the server writes and reads them, with their labels and dtypes.

A value is a number, a text or a boolean; a time ISO 8601 text (UTC with ``Z`` if its dtype has a
zone), a time span an ISO 8601 duration, a complex number text, an interval a pair, and a category
its label. What is missing is null.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Head = dict[str, Any]
#: What a table or an array consists of.
FIELDS = {
    "dataframe": {"type", "columns", "index", "data", "dtypes", "names"},
    "series": {"type", "name", "index", "data", "dtypes", "names"},
    "index": {"type", "index", "dtypes", "names"},
    "ndarray": {"type", "dtype", "shape", "data"},
}


class NeedsFile(ValueError):
    """A table or an array that JSON cannot hold exactly; a file can."""


def flat(values: Any, levels: int) -> list[Any]:
    """Return nested lists as one."""
    for _ in range(levels - 1):
        values = list(chain.from_iterable(values))
    return list(values)


def read_table(head: Head) -> object:
    """Return the DataFrame, Series, Index or ndarray that JSON describes.

    Raises
    ------
    Exception
        Whatever pandas and NumPy raise if it only resembles one.
    """
    import pandas as pd

    kind = head["type"]
    if kind == "ndarray":
        values = flat(head["data"], len(head["shape"]))
        return _numpy(head["dtype"], values).reshape(head["shape"])
    if kind == "index":
        return _labels(head, "index", 0)
    if kind == "series":
        data = _column(head["dtypes"]["data"], head["data"])
        index = _labels(head, "index", len(data))
        return pd.Series(data, index=index, dtype=data.dtype, name=_label(head["name"]))
    dtypes, lists = head["dtypes"]["data"], head["data"].values()
    columns = [_column(dtype, cells) for dtype, cells in zip(dtypes, lists, strict=True)]
    index = _labels(head, "index", len(columns[0]) if columns else 0)
    series = {n: pd.Series(cells, index, dtype=cells.dtype) for n, cells in enumerate(columns)}
    return pd.DataFrame(series, index=index).set_axis(_labels(head, "columns", 0), axis=1)


def _labels(head: Head, axis: str, rows: int) -> pd.Index:
    import pandas as pd

    labels, name, dtype = head[axis], head["names"][axis], head["dtypes"][axis]
    if labels is None:
        return pd.RangeIndex(rows, name=_label(name))
    if not isinstance(dtype, list):
        return _index(dtype, labels, name)
    levels = [[label[n] for label in labels] for n in range(len(dtype))]
    arrays = [_index(kind, level) for kind, level in zip(dtype, levels, strict=True)]
    return pd.MultiIndex.from_arrays(arrays, names=[_label(each) for each in name])


def _index(dtype: object, labels: list[object], name: object = None) -> pd.Index:
    import pandas as pd

    values = _column(dtype, labels)
    if values.dtype == object:
        values = _objects([_label(label) for label in labels])
    return pd.Index(values, dtype=values.dtype, name=_label(name), tupleize_cols=False)


def _label(label: object) -> object:
    """Return a label; pandas wants tuples for lists."""
    return tuple(map(_label, label)) if isinstance(label, list) else label


def _column(dtype: Any, values: list[Any]) -> Any:
    """Return an array of pandas or NumPy; one of objects for a dtype that is not known here."""
    import numpy as np
    import pandas as pd

    if isinstance(dtype, dict):
        return _categories(dtype, values)
    try:
        known = pd.api.types.pandas_dtype(dtype)
    except (TypeError, ImportError):
        return _objects(values)
    if isinstance(known, pd.DatetimeTZDtype):
        times = pd.DatetimeIndex(_numpy(f"datetime64[{known.unit}]", values))
        return times.tz_localize("UTC").tz_convert(known.tz).array
    if isinstance(known, pd.IntervalDtype):
        ends = [[pair and pair[end] for pair in values] for end in (0, 1)]
        left, right = (_column(str(known.subtype), end) for end in ends)
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=known.closed)
    return _numpy(dtype, values) if isinstance(known, np.dtype) else pd.array(values, dtype=known)


def _numpy(dtype: str, values: list[Any]) -> np.ndarray:
    import numpy as np
    import pandas as pd

    known = np.dtype(dtype)
    if known.kind == "M":
        return np.array([text and text.removesuffix("Z") for text in values], dtype=known)
    if known.kind == "m":
        return np.array(pd.to_timedelta(values).as_unit("ns")).astype(known)
    if known.kind == "u":
        values = [int(number) for number in values]  # text beyond 63 bits
    return np.array(values, dtype=known) if known.kind in "biufc" else _objects(values)


def _categories(described: Head, values: list[object]) -> object:
    import pandas as pd

    labels = described["categories"]
    codes = {json.dumps(label): code for code, label in enumerate(labels)}
    found = [-1 if label is None else codes[json.dumps(label)] for label in values]
    categories = _index(described["dtype"], labels)
    return pd.Categorical.from_codes(found, categories, ordered=described["ordered"])


def _objects(values: list[object]) -> np.ndarray:
    import numpy as np

    array = np.empty(len(values), dtype=object)
    for n, value in enumerate(values):
        array[n] = value
    return array


def write_table(value: Any) -> Head:
    """Return a DataFrame, a Series or an ndarray as JSON.

    Raises
    ------
    NeedsFile
        If JSON would change a value, or a dtype or label is a rare one.
    """
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return _frame_head(value)
    if isinstance(value, pd.Series):
        index, (dtype, data) = _index_head(value.index), _written(value)
        return {
            "type": "series",
            "name": _plain_label(value.name),
            "index": index["index"],
            "data": data,
            "dtypes": {"index": index["dtypes"]["index"], "data": dtype},
            "names": index["names"],
        }
    dtype, data = _written(value.ravel())
    nested: Any = data
    for length in reversed(value.shape[1:]):
        if not length:
            raise NeedsFile("an array without items")
        nested = [nested[n : n + length] for n in range(0, len(nested), length)]
    return {"type": "ndarray", "dtype": dtype, "shape": list(value.shape), "data": nested}


def _frame_head(frame: pd.DataFrame) -> Head:
    names = [str(_plain_label(name)) for name in frame.columns]
    keys = all(name and not name.startswith("$") and "\0" not in name for name in names)
    if len(set(names)) < len(names) or not names or not keys:
        raise NeedsFile("columns of the same name, or of names that are not keys in JSON")
    index, columns = _index_head(frame.index), _index_head(frame.columns)
    data = [_written(frame.iloc[:, n]) for n in range(len(names))]
    return {
        "type": "dataframe",
        "columns": [*frame.columns],
        "index": index["index"],
        "data": dict(zip(names, (cells for _, cells in data), strict=True)),
        "dtypes": {
            "columns": columns["dtypes"]["index"],
            "index": index["dtypes"]["index"],
            "data": [dtype for dtype, _ in data],
        },
        "names": {"columns": columns["names"]["index"], "index": index["names"]["index"]},
    }


def _index_head(index: pd.Index) -> Head:
    import pandas as pd

    if isinstance(index, pd.MultiIndex):
        raise NeedsFile("labels with several levels")
    counts = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
    dtype, labels = _written(index)
    name = _plain_label(index.name)
    shown = None if counts else labels
    return {"index": shown, "dtypes": {"index": dtype}, "names": {"index": name}}


def _plain_label(label: object) -> object:
    if label is None or isinstance(label, str) or type(label) in (int, float):
        return label
    raise NeedsFile("a name that JSON has not")


def _written(values: Any) -> tuple[str, list[Any]]:
    """Return dtype and values of a Series, an Index or an array of one dimension."""
    import numpy as np
    import pandas as pd

    missing = np.asarray(pd.isna(values))
    dtype, kind = str(values.dtype), getattr(values.dtype, "kind", "O")
    if isinstance(values.dtype, np.dtype) and kind == "M":
        texts = np.datetime_as_string(np.asarray(values)).tolist()
        return dtype, _with_gaps(texts, missing)
    if isinstance(values.dtype, np.dtype) and kind in "biuf" and values.dtype.itemsize <= 8:
        if (kind == "f" and np.isinf(values).any()) or (
            dtype == "uint64" and (values >= 2**63).any()
        ):
            raise NeedsFile("infinities, or integers beyond 63 bits")
        return dtype, _with_gaps(np.asarray(values).tolist(), missing)
    cells = _with_gaps(list(np.asarray(values, dtype=object)), missing)
    if dtype not in ("str", "string", "object") or not {str, type(None)}.issuperset(
        map(type, cells)
    ):
        raise NeedsFile(f"the dtype {dtype}")
    return dtype, cells


def _with_gaps(cells: list[Any], missing: Any) -> list[Any]:
    return [None if gap else cell for cell, gap in zip(cells, missing.tolist(), strict=True)]
