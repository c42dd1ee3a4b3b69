"""Single values as text."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.timestamp import Timestamp

_BEGINNING = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


def text_of(value: Any) -> str:
    """The ``str`` of any value, of characters that UTF-8 can hold; never raises.

    An object whose own ``__str__`` fails is named by its type. Half surrogates are spelled out.
    """
    try:
        text = str.__str__(value if isinstance(value, str) else str(value))
    except Exception:  # somebody else's code; what is asked for is only a name
        text = f"<{type(value).__module__}.{type(value).__qualname__} object>"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def as_utc(value: datetime) -> datetime:
    """A time in UTC without its zone; one that has no zone is taken to be in UTC."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def fine_time(value: datetime) -> Timestamp | None:
    """A time in UTC with microseconds as BSON can keep it, whose times have milliseconds.

    Its timestamps are two numbers of 32 bits: seconds since 1970, and here microseconds. None for
    what is outside of 1970 to 2106.
    """
    seconds = (value - _BEGINNING) // _SECOND
    return Timestamp(seconds, value.microsecond) if 0 <= seconds < 2**32 else None


def time_of(value: Timestamp) -> datetime:
    """The time that `fine_time` keeps."""
    return _BEGINNING + timedelta(seconds=value.time, microseconds=value.inc)


def stamp(value: datetime) -> str:
    """A time as the documentation prints it: ``2018-09-05 17:24:22.607225``, in UTC."""
    return as_utc(value).isoformat(" ", "microseconds")


def rfc3339(value: datetime) -> str:
    """A time as native JSON carries it: ``2018-09-05T17:24:22.607Z``, with microseconds if any."""
    value = as_utc(value)
    return (
        value.isoformat("T", "microseconds" if value.microsecond % 1000 else "milliseconds") + "Z"
    )


def base64(value: bytes) -> str:
    """Bytes as base64 text."""
    return b64encode(value).decode()
