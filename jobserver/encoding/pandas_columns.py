"""Columns over the arrays of numpy and pandas: encoded piece by piece, never copied as a whole."""

from __future__ import annotations

from typing import Any

from jobserver.encoding.columns import Dtype, Encode, encode_column, whole_seconds
from jobserver.encoding.table_columns import CODES, Column

#: How the module ``struct`` calls the numbers that are kept as they are in memory. Not uint64:
#: what is beyond 63 bits is stored as text. Half floats are widened, which changes no value.
_FORMATS = {
    **{"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I"},
    **{"f2": "f", "f4": "f", "f8": "d"},
}
#: Values that are looked at together.
_LOOK = 2**20


def live_column(values: Any, encode: Encode) -> tuple[Dtype, Column]:
    """The dtype of a one-dimensional array, Series or Index, and a column over it."""
    import numpy as np
    import pandas as pd

    dtype, _ = encode_column(_some(values, 0, 0), encode)
    if isinstance(values.dtype, pd.CategoricalDtype) and isinstance(dtype, dict):
        return dtype, _Codes(values.array.codes, dtype["categories"])
    if isinstance(values.dtype, np.dtype):
        values = values.to_numpy() if isinstance(values, pd.Series) else values
        if form := _FORMATS.get(f"{values.dtype.kind}{values.dtype.itemsize}"):
            return dtype, _Numbers(values, form)
    return dtype, _Values(values, encode)


def live_labels(index: Any, encode: Encode) -> tuple[Any, Any, Column]:
    """Dtype, name and column of an index; of a MultiIndex lists of the first two."""
    if index.nlevels == 1 and not hasattr(index, "levels"):
        dtype, column = live_column(index, encode)
        return dtype, encode([index.name])[0], column
    dtypes = [encode_column(level, encode)[0] for level in _levels(index[:0])]
    return dtypes, encode(list(index.names)), _Rows(index, encode)


class _Values(Column):
    """Values of any dtype."""

    def __init__(self, values: Any, encode: Encode) -> None:
        self._values = values
        self._encode = encode
        steps = range(0, len(values), _LOOK)
        self._whole = all(whole_seconds(_some(values, at, at + _LOOK)) for at in steps)

    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the values."""
        return encode_column(_some(self._values, start, stop), self._encode, self._whole)[1]


class _Rows(Column):
    """Labels of a MultiIndex, each a list."""

    def __init__(self, index: Any, encode: Encode) -> None:
        self._index = index
        self._encode = encode
        self._whole = [whole_seconds(level) for level in index.levels]

    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the labels."""
        levels = zip(_levels(self._index[start:stop]), self._whole, strict=True)
        columns = [encode_column(level, self._encode, whole)[1] for level, whole in levels]
        return [list(row) for row in zip(*columns, strict=True)]


class _Numbers(Column):
    """Numbers as they are in memory."""

    def __init__(self, array: Any, form: str) -> None:
        self.form = form
        self._array = array

    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the numbers."""
        import numpy as np

        items: list[Any] = np.asarray(self._array[start:stop]).tolist()
        return items

    def piece(self, start: int, stop: int) -> bytes:
        """The same numbers, each with its least byte first."""
        return self._bytes(start, stop, self.form)

    def _bytes(self, start: int, stop: int, form: str) -> bytes:
        import numpy as np

        array = np.asarray(self._array[start:stop]).astype(f"<{form}", copy=False)
        return bytes(array.tobytes())


class _Codes(_Numbers):
    """Categories by their places."""

    def __init__(self, codes: Any, labels: list[Any]) -> None:
        super().__init__(codes, CODES)
        self._labels = labels

    def values(self, start: int, stop: int) -> list[Any]:
        """Some of the labels."""
        return [None if n < 0 else self._labels[n] for n in super().values(start, stop)]

    def piece(self, start: int, stop: int) -> bytes:
        """The same places, each as four bytes."""
        return self._bytes(start, stop, "i")


def _some(values: Any, start: int, stop: int) -> Any:
    return values.iloc[start:stop] if hasattr(values, "iloc") else values[start:stop]


def _levels(index: Any) -> list[Any]:
    return [index.get_level_values(n) for n in range(index.nlevels)]
