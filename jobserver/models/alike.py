"""Whether a value that was stored and read again is the same for a script."""

from __future__ import annotations

import sys
from math import isnan
from typing import Any

from bson.int64 import Int64


def alike(one: Any, other: Any) -> bool:
    """Whether two values have the same types and content, as deep as lists and dicts go.

    Tables have the same labels, dtypes and frequency.
    """
    if isinstance(one, Int64):  # as the database gives what is beyond 32 bits
        one = int(one)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        same = list(one) == list(other)
        return same and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(*pair) for pair in pairs)
    return _arrays_alike(one, other)


def _arrays_alike(one: Any, other: Any) -> bool:
    pandas, numpy = sys.modules.get("pandas"), sys.modules.get("numpy")
    if pandas and isinstance(one, pandas.DataFrame):
        return _axes_alike(one, other, "index", "columns") and _columns_alike(one, other)
    if pandas and isinstance(one, pandas.Series):
        return _axes_alike(one, other, "index") and _labels_alike(one, other)
    if numpy and isinstance(one, numpy.ndarray):
        return bool(
            one.dtype == other.dtype and numpy.array_equal(one, other, one.dtype.kind == "f")
        )
    return bool(one == other) or (isinstance(one, float) and isnan(one) and isnan(other))


def _axes_alike(one: Any, other: Any, *axes: str) -> bool:
    return all(_labels_alike(getattr(one, axis), getattr(other, axis)) for axis in axes)


def _labels_alike(one: Any, other: Any) -> bool:
    """Whether two of Index, or of Series, are the same but for their own index."""
    if type(one) is not type(other) or not one.equals(other) or one.name != other.name:
        return False
    levels = (one.names == other.names) if one.__class__.__name__ == "MultiIndex" else True
    frequencies = [getattr(each, "freq", None) for each in (one, other)]
    return bool(one.dtype == other.dtype and levels and frequencies[0] == frequencies[1])


def _columns_alike(one: Any, other: Any) -> bool:
    return bool((one.dtypes.array == other.dtypes.array).all() and one.equals(other))
