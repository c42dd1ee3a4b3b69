"""One-dimensional arrays as a dtype and a list, and back.

The list is made to be read: numbers, text and booleans as such, times as ISO 8601 text (UTC with
``Z`` where the dtype has a zone), spans as integers in the unit of the dtype, complex numbers as
text, intervals as pairs, categories by their labels. What is missing is None, or NaN in floats.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

#: A dtype's name; for categories ``{"name", "ordered", "dtype", "categories"}``.
Dtype = str | dict[str, Any]
#: Turns a list of any objects into one that BSON holds.
Encode = Callable[[list[Any]], list[Any]]

#: Longest text, in bytes for all rows together, that is decoded with a fixed width.
_WIDEST = 2**26


def encode_column(
    values: Any, encode: Encode, whole: bool | None = None
) -> tuple[Dtype, list[Any]]:
    """Dtype and list of a numpy array, Series or Index of one dimension.

    Parameters
    ----------
    values : ndarray, Series or Index
        Shape (n,).
    encode : callable
        Encodes a list of objects.
    whole : bool, optional
        Whether times are whole seconds and are written so; to be given for parts of a column, whose
        texts must be alike.
    """
    import numpy as np

    if not isinstance(values.dtype, np.dtype):
        return _encode_extension(values, encode, whole)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return str(array.dtype), _time_texts(array, whole)
    if array.dtype.kind == "m":
        missing = np.isnat(array)
        return str(array.dtype), _with_gaps(array.astype("int64").tolist(), missing)
    if array.dtype.kind == "c" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        return str(array.dtype), [str(item) for item in array.tolist()]
    return str(array.dtype), encode(array.tolist())


def whole_seconds(values: Any) -> bool:
    """Whether there is no part of a second in times, or in intervals between times."""
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.IntervalDtype):
        return all(map(whole_seconds, (values.array.left, values.array.right)))
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.array.tz_convert(None)
    array = np.asarray(values) if values.dtype.kind == "M" else np.empty(0, "M8[s]")
    return bool(((array.astype("datetime64[s]") == array) | np.isnat(array)).all())


def _time_texts(array: Any, whole: bool | None) -> list[Any]:
    import numpy as np

    missing = np.isnat(array)
    seconds = array.astype("datetime64[s]")
    whole = whole_seconds(array) if whole is None else whole
    finer = np.datetime_data(array.dtype)[0] in ("ms", "us", "ns", "ps", "fs", "as")
    return _with_gaps(
        np.datetime_as_string(seconds if whole and finer else array).tolist(), missing
    )


def _with_gaps(items: list[Any], missing: Any) -> list[Any]:
    if not missing.any():
        return items
    return [None if gap else item for item, gap in zip(items, missing.tolist(), strict=True)]


def _encode_extension(values: Any, encode: Encode, whole: bool | None) -> tuple[Dtype, list[Any]]:
    import numpy as np
    import pandas as pd

    dtype, array = values.dtype, values.array
    if isinstance(dtype, pd.CategoricalDtype):
        return _encode_categories(array, encode)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _encode_zoned(array, whole)
    missing = np.asarray(array.isna())
    if isinstance(dtype, pd.SparseDtype):
        return encode_column(np.asarray(array), encode)
    if isinstance(dtype, pd.IntervalDtype):
        ends = [encode_column(end, encode, whole)[1] for end in (array.left, array.right)]
        return str(dtype), _with_gaps([list(pair) for pair in zip(*ends, strict=True)], missing)
    return str(dtype), encode(_with_gaps(list(array.astype(object)), missing))


def _encode_categories(array: Any, encode: Encode) -> tuple[Dtype, list[Any]]:
    dtype, labels = encode_column(array.categories, encode)
    described = {
        "name": "category",
        "ordered": bool(array.ordered),
        "dtype": dtype,
        "categories": labels,
    }
    return described, [None if code < 0 else labels[code] for code in array.codes.tolist()]


def _encode_zoned(array: Any, whole: bool | None) -> tuple[str, list[Any]]:
    import numpy as np

    if _known_dtype(str(array.dtype)) != array.dtype:  # a zone without a name of its own
        array = array.tz_convert("UTC")
    texts = _time_texts(np.asarray(array.tz_convert(None)), whole)
    return str(array.dtype), [None if text is None else text + "Z" for text in texts]


def decode_column(dtype: Dtype, data: list[Any]) -> Any:
    """The array that was encoded; the inverse of `encode_column`.

    Returns
    -------
    ndarray or ExtensionArray
        Shape (n,). Of objects where the dtype is not known here.

    Raises
    ------
    Exception
        Whatever numpy and pandas raise where the list does not hold what the dtype says.
    """
    import numpy as np
    import pandas as pd

    if isinstance(dtype, dict):
        return _decode_categories(dtype, data)
    known = _known_dtype(dtype)
    if isinstance(known, np.dtype):
        return _decode_numpy(known, data)
    if isinstance(known, pd.DatetimeTZDtype):
        plain = _decode_numpy(np.dtype(f"datetime64[{known.unit}]"), data)
        return pd.DatetimeIndex(plain).tz_localize("UTC").tz_convert(known.tz).array
    if isinstance(known, pd.IntervalDtype):
        return _decode_intervals(known, data)
    return objects(data) if known is None else pd.array(data, dtype=known)


def _known_dtype(name: str) -> Any:
    import pandas as pd

    try:
        return pd.api.types.pandas_dtype(name)
    except (TypeError, ImportError):  # of a library that is not here, or not a name
        return None


def _decode_numpy(dtype: Any, data: list[Any]) -> Any:
    import numpy as np

    if dtype.kind == "M":
        data = [None if text is None else text.removesuffix("Z") for text in data]
    elif dtype.kind == "c":
        data = [complex(text) for text in data]
    elif dtype.kind == "u":
        data = [int(number) for number in data]
    fixed = dtype.kind in "biufcMm" or (dtype.kind in "SU" and _is_narrow(dtype, len(data)))
    return np.array(data, dtype=dtype) if fixed else objects(data)


def _is_narrow(dtype: Any, rows: int) -> bool:
    return bool(dtype.itemsize * rows <= _WIDEST)


def _decode_intervals(dtype: Any, data: list[Any]) -> Any:
    import pandas as pd

    pairs = [(None, None) if pair is None else pair for pair in data]
    subtype = str(dtype.subtype)
    left, right = (decode_column(subtype, [pair[end] for pair in pairs]) for end in (0, 1))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=dtype.closed)


def _decode_categories(described: dict[str, Any], data: list[Any]) -> Any:
    import pandas as pd

    labels = described["categories"]
    codes = {repr(label): code for code, label in enumerate(labels)}
    if len(codes) < len(labels):  # different as objects, the same as stored
        return objects(data)
    categories = decode_labels(described["dtype"], labels)
    found = [-1 if label is None else codes[repr(label)] for label in data]
    return pd.Categorical.from_codes(found, categories, ordered=described["ordered"])


def decode_labels(dtype: Dtype, data: list[Any], name: Any = None) -> Any:
    """A `pandas.Index` of what `encode_column` made of one."""
    import pandas as pd

    array = decode_column(dtype, data)
    if array.dtype == object:
        array = objects([hashable(label) for label in data])
    return pd.Index(array, dtype=array.dtype, name=hashable(name), tupleize_cols=False)


def hashable(label: Any) -> Any:
    """A label as pandas takes it: the tuple that became a list is a tuple again."""
    return tuple(hashable(item) for item in label) if isinstance(label, list) else label


def objects(items: list[Any]) -> Any:
    """An array of any objects, also of lists."""
    import numpy as np

    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def nest(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """A flat list as nested ones of a shape, which has no zero."""
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def flatten(nested: list[Any], dimensions: int) -> list[Any]:
    """The inverse of `nest`."""
    for _ in range(1, dimensions):
        nested = list(chain.from_iterable(nested))
    return nested
