"""Encode one-dimensional arrays of numpy and pandas as a dtype and a list, and decode them.

The list is readable: numbers, text and booleans as they are, times as ISO 8601 text (UTC with ``Z``
if the dtype has a zone), time spans as ISO 8601 durations, complex numbers as text, intervals as
pairs, categories by their labels. Missing values are None, or NaN in floats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobserver.encoding.durations import duration_count, iso_duration
from jobserver.encoding.table_columns import CODES, Column, Dtype, Encode, Head, Items

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: What has one dimension: an array of numpy; a Series, an Index or an array of pandas.
Values = Any

#: ``struct`` formats of the numbers that are stored as in memory. Not uint64: values beyond 63 bits
#: are stored as text. Half-precision floats are widened, which changes no value.
_FORMATS = {
    **{"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I"},
    **{"f2": "f", "f4": "f", "f8": "d"},
}
#: Values examined at once.
_BATCH = 2**20
#: Bytes of a column of text up to which it is decoded with a fixed width.
_LARGEST_FIXED = 2**26


def encode_column(values: Values, encode: Encode, whole: bool | None = None) -> tuple[Dtype, Items]:
    """Return dtype and list of a one-dimensional array, Series or Index.

    Parameters
    ----------
    values : ndarray, Series or Index
        Shape (n,).
    encode : callable
        Encodes a list of objects.
    whole : bool, optional
        Whether to write times as whole seconds; pass it for parts of a column, so that all look the
        same.
    """
    import numpy as np

    if not isinstance(values.dtype, np.dtype):
        return _encode_extension(values, encode, whole)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return str(array.dtype), _time_texts(array, whole)
    if array.dtype.kind == "m":
        return str(array.dtype), _with_gaps(_span_texts(array), np.isnat(array))
    if array.dtype.kind == "c" or (array.dtype.kind == "f" and array.dtype.itemsize > 8):
        return str(array.dtype), [str(item) for item in array.tolist()]
    return str(array.dtype), encode(array.tolist())


def whole_seconds(values: Values) -> bool:
    """Whether times, or intervals between times, have no fractions of a second."""
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.IntervalDtype):
        return all(map(whole_seconds, (values.array.left, values.array.right)))
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.array.tz_convert(None)
    array = np.asarray(values) if values.dtype.kind == "M" else np.empty(0, "M8[s]")
    return bool(((array.astype("datetime64[s]") == array) | np.isnat(array)).all())


def _time_texts(array: Values, whole: bool | None) -> Items:
    import numpy as np

    missing = np.isnat(array)
    seconds = array.astype("datetime64[s]")
    whole = whole_seconds(array) if whole is None else whole
    finer = np.datetime_data(array.dtype)[0] in ("ms", "us", "ns", "ps", "fs", "as")
    return _with_gaps(
        np.datetime_as_string(seconds if whole and finer else array).tolist(), missing
    )


def _span_texts(array: Values) -> Items:
    import numpy as np

    unit, step = np.datetime_data(array.dtype)
    counts: list[int] = array.astype("int64").tolist()
    return counts if unit == "generic" else [iso_duration(count * step, unit) for count in counts]


def _with_gaps(items: Items, missing: Values) -> list[object]:
    if not missing.any():
        return items
    return [None if gap else item for item, gap in zip(items, missing.tolist(), strict=True)]


def _encode_extension(values: Values, encode: Encode, whole: bool | None) -> tuple[Dtype, Items]:
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


def _encode_categories(array: Values, encode: Encode) -> tuple[Dtype, Items]:
    dtype, labels = encode_column(array.categories, encode)
    described = {
        "name": "category",
        "ordered": bool(array.ordered),
        "dtype": dtype,
        "categories": labels,
    }
    return described, [None if code < 0 else labels[code] for code in array.codes.tolist()]


def _encode_zoned(array: Values, whole: bool | None) -> tuple[str, Items]:
    import numpy as np

    if _known_dtype(str(array.dtype)) != array.dtype:  # a zone without a name
        array = array.tz_convert("UTC")
    texts = _time_texts(np.asarray(array.tz_convert(None)), whole)
    return str(array.dtype), [None if text is None else text + "Z" for text in texts]


def decode_column(dtype: Dtype, data: list[object]) -> Values:
    """Return the encoded array; the inverse of `encode_column`.

    Returns
    -------
    ndarray or ExtensionArray
        Shape (n,), of objects if the dtype is unknown.

    Raises
    ------
    Exception
        Whatever numpy and pandas raise if the list does not match the dtype.
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


def _known_dtype(name: str) -> object:
    import pandas as pd

    try:
        return pd.api.types.pandas_dtype(name)
    except (TypeError, ImportError):  # of a library that is not installed, or not a name
        return None


def _decode_numpy(dtype: np.dtype, data: Items) -> object:
    import numpy as np

    if dtype.kind == "M":
        data = [None if text is None else text.removesuffix("Z") for text in data]
    elif dtype.kind == "m":
        unit, step = np.datetime_data(dtype)
        data = [duration_count(n, unit) // step if isinstance(n, str) else n for n in data]
    elif dtype.kind == "c":
        data = [complex(text) for text in data]
    elif dtype.kind == "u":
        data = [int(number) for number in data]
    narrow = dtype.itemsize * len(data) <= _LARGEST_FIXED
    fixed = dtype.kind in "biufcMm" or (dtype.kind in "SU" and narrow)
    return np.array(data, dtype=dtype) if fixed else objects(data)


def _decode_intervals(dtype: pd.IntervalDtype, data: Items) -> Values:
    import pandas as pd

    pairs = [(None, None) if pair is None else pair for pair in data]
    subtype = str(dtype.subtype)
    left, right = (decode_column(subtype, [pair[end] for pair in pairs]) for end in (0, 1))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=dtype.closed)


def _decode_categories(described: Head, data: list[object]) -> object:
    import pandas as pd

    labels = described["categories"]
    codes = {repr(label): code for code, label in enumerate(labels)}
    if len(codes) < len(labels):  # labels that differ only before they are stored
        return objects(data)
    categories = decode_labels(described["dtype"], labels)
    found = [-1 if label is None else codes[repr(label)] for label in data]
    return pd.Categorical.from_codes(found, categories, ordered=described["ordered"])


def decode_labels(dtype: Dtype, data: list[object], name: object = None) -> object:
    """Return the `pandas.Index` that `encode_column` encoded."""
    import pandas as pd

    array = decode_column(dtype, data)
    if array.dtype == object:
        array = objects([hashable(label) for label in data])
    return pd.Index(array, dtype=array.dtype, name=hashable(name), tupleize_cols=False)


def hashable(label: object) -> object:
    """Return a label for pandas: lists become tuples again."""
    return tuple(hashable(item) for item in label) if isinstance(label, list) else label


def objects(items: list[object]) -> Values:
    """Return an array of any objects, even lists."""
    import numpy as np

    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def live_column(values: Values, encode: Encode) -> tuple[Dtype, Column]:
    """Return the dtype of a one-dimensional array, Series or Index, and a column over it."""
    import numpy as np
    import pandas as pd

    dtype, _ = encode_column(_slice(values, 0, 0), encode)
    if isinstance(values.dtype, pd.CategoricalDtype) and isinstance(dtype, dict):
        return dtype, _Codes(values.array.codes, dtype["categories"])
    if isinstance(values.dtype, np.dtype):
        values = values.to_numpy() if isinstance(values, pd.Series) else values
        if piece_format := _FORMATS.get(f"{values.dtype.kind}{values.dtype.itemsize}"):
            return dtype, _Numbers(values, piece_format)
    return dtype, _Values(values, encode)


def live_labels(index: Values, encode: Encode) -> tuple[object, object, Column]:
    """Return dtype, name and column of an index; for a MultiIndex lists of the first two."""
    if index.nlevels == 1 and not hasattr(index, "levels"):
        dtype, column = live_column(index, encode)
        return dtype, encode([index.name])[0], column
    dtypes = [encode_column(level, encode)[0] for level in _levels(index[:0])]
    return dtypes, encode(list(index.names)), _Rows(index, encode)


class _Values(Column):
    """Values of any dtype."""

    def __init__(self, values: Values, encode: Encode) -> None:
        self._values = values
        self._encode = encode
        starts = range(0, len(values), _BATCH)
        self._whole = all(whole_seconds(_slice(values, n, n + _BATCH)) for n in starts)

    def values(self, start: int, stop: int) -> Items:
        return encode_column(_slice(self._values, start, stop), self._encode, self._whole)[1]


class _Rows(Column):
    """Labels of a MultiIndex, each a list."""

    def __init__(self, index: Values, encode: Encode) -> None:
        self._index = index
        self._encode = encode
        self._whole = [whole_seconds(level) for level in index.levels]

    def values(self, start: int, stop: int) -> Items:
        levels = zip(_levels(self._index[start:stop]), self._whole, strict=True)
        columns = [encode_column(level, self._encode, whole)[1] for level, whole in levels]
        return [list(row) for row in zip(*columns, strict=True)]


class _Numbers(Column):
    """Numbers, stored as in memory."""

    def __init__(self, array: Values, piece_format: str) -> None:
        self.piece_format = piece_format
        self._array = array

    def values(self, start: int, stop: int) -> Items:
        import numpy as np

        items: Items = np.asarray(self._array[start:stop]).tolist()
        return items

    def piece(self, start: int, stop: int) -> bytes:
        """Return the same numbers as little-endian bytes."""
        return self._bytes(start, stop, self.piece_format)

    def _bytes(self, start: int, stop: int, number_format: str) -> bytes:
        import numpy as np

        array = np.asarray(self._array[start:stop]).astype(f"<{number_format}", copy=False)
        return bytes(array.tobytes())


class _Codes(_Numbers):
    """Categories, stored as indices into their labels."""

    def __init__(self, codes: object, labels: list[object]) -> None:
        super().__init__(codes, CODES)
        self._labels = labels

    def values(self, start: int, stop: int) -> Items:
        return [None if n < 0 else self._labels[n] for n in super().values(start, stop)]

    def piece(self, start: int, stop: int) -> bytes:
        return self._bytes(start, stop, "i")


def _slice(values: Values, start: int, stop: int) -> object:
    return values.iloc[start:stop] if hasattr(values, "iloc") else values[start:stop]


def _levels(index: Values) -> list[object]:
    return [index.get_level_values(n) for n in range(index.nlevels)]
