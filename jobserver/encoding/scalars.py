"""Encode single values of Python, numpy and pandas for BSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, SupportsInt
from uuid import UUID

from bson import ObjectId
from bson.timestamp import Timestamp

from jobserver.encoding.durations import iso_duration
from jobserver.encoding.text import as_utc, fine_time, text_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Scalars = dict[type, Callable[[Any], object]]

#: Integers that BSON can represent.
INT64 = range(-(2**63), 2**63)
_MICROSECOND = timedelta(microseconds=1)


def scalars() -> Scalars:
    """Return the encoders of single values by type, with numpy's and pandas' if imported.

    No value is rounded: integers beyond 64 bits, Decimal, Fraction and complex numbers become text,
    times those of the database (UTC, milliseconds), its timestamps (microseconds) or ISO 8601 text
    (finer), time spans ISO 8601 durations.
    """
    found = dict(_SCALARS)
    if numpy := sys.modules.get("numpy"):
        found |= {
            numpy.generic: _numpy_scalar,
            numpy.datetime64: _numpy_time,
            numpy.timedelta64: _numpy_span,
        }
    if pandas := sys.modules.get("pandas"):
        found |= {
            type(pandas.NaT): _nothing,
            type(pandas.NA): _nothing,
            pandas.Timestamp: _timestamp,
            pandas.Timedelta: lambda value: _numpy_span(value.to_timedelta64()),
            pandas.Period: str,
            pandas.Interval: str,
            pandas.offsets.BaseOffset: str,
        }
    return found


def _integer(value: SupportsInt) -> int | str:
    number = int(value)
    return number if number in INT64 else str(Decimal(number))  # str(int) stops at 4300 digits


def _instant(value: datetime) -> datetime | Timestamp | str:
    """Return a time in UTC, as another type if it is finer than the database's milliseconds."""
    try:
        value = as_utc(value)
    except OverflowError:  # in UTC its year is below 1 or above 9999
        return value.isoformat()
    value = datetime.combine(value.date(), value.time()).replace(fold=0)  # a fold is not stored
    return (fine_time(value) or value.isoformat() + "Z") if value.microsecond % 1000 else value


def _timestamp(value: pd.Timestamp) -> datetime | Timestamp | str:
    try:
        plain = None if value.nanosecond else value.to_pydatetime()
    except (OverflowError, ValueError):  # years that Python's times cannot represent
        plain = None
    if plain is not None:
        return _instant(plain)
    utc = value if value.tz is None else value.tz_convert("UTC").tz_localize(None)
    return f"{utc.isoformat()}Z"


def _numpy_time(value: np.datetime64) -> datetime | Timestamp | str | None:
    text = str(value)
    if text == "NaT":
        return None
    whole = value.astype("datetime64[us]")
    instant = whole.item()
    exact = isinstance(instant, datetime) and whole == value
    return _instant(instant) if exact else text + "Z"


def _span(value: timedelta) -> str:
    return iso_duration(value // _MICROSECOND, "us")


def _numpy_span(value: np.timedelta64) -> str | None:
    import numpy as np

    if np.isnat(value):
        return None
    unit, step = np.datetime_data(value.dtype)
    return str(value) if unit == "generic" else iso_duration(int(value.astype("i8")) * step, unit)


def _numpy_scalar(value: np.generic) -> object:
    item = value.item()
    if isinstance(item, int) and not isinstance(item, bool):
        return _integer(item)
    return item if isinstance(item, bool | float) else text_of(item)


def _nothing(_: object) -> None:
    return None


_SCALARS: Scalars = {
    int: _integer,
    float: float,
    str: text_of,
    datetime: _instant,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _span,
    bytes: bytes,
    bytearray: bytes,
    memoryview: bytes,
    complex: str,
    Decimal: str,
    Fraction: str,
    UUID: str,
    PurePath: str,
    ObjectId: str,
}
