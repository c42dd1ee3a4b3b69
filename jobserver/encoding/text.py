r"""Single values as text, and the escaping of stored keys.

Stored keys escape three characters: a leading ``$``, NUL, and the backslash of the escape itself.
``$c`` is stored as ``\\$c``, NUL as ``\\0``, a backslash as two. Dots and empty keys are stored
unchanged, below the top level of a document.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.timestamp import Timestamp

_BEGINNING = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)
_SPECIAL = re.compile(r"\A\$|[\\\0]")
_ESCAPED = re.compile(r"\\([\\0$])")
_ESCAPES = {"$": r"\$", "\0": r"\0", "\\": r"\\"}
_UNESCAPES = {"$": "$", "0": "\0", "\\": "\\"}


def text_of(value: object) -> str:
    """Return the ``str`` of any value, valid as UTF-8; never raise.

    An object whose ``__str__`` fails is represented by its type, lone surrogates by escapes.
    """
    try:
        text = str.__str__(value if isinstance(value, str) else str(value))
    except Exception:  # foreign code may raise anything
        text = f"<{type(value).__module__}.{type(value).__qualname__} object>"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def as_utc(value: datetime) -> datetime:
    """Return a time in UTC without its zone; one without a zone is taken as UTC."""
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def fine_time(value: datetime) -> Timestamp | None:
    """Return a time in UTC with microseconds as a BSON timestamp, as BSON's times have none.

    A timestamp has two 32-bit numbers: seconds since 1970, and here microseconds. None outside of
    1970 to 2106.
    """
    seconds = (value - _BEGINNING) // _SECOND
    return Timestamp(seconds, value.microsecond) if 0 <= seconds < 2**32 else None


def time_of(value: Timestamp) -> datetime:
    """Return the time of a timestamp; the inverse of `fine_time`."""
    return _BEGINNING + timedelta(seconds=value.time, microseconds=value.inc)


def stamp(value: datetime) -> str:
    """Return a time as in the documentation: ``2018-09-05 17:24:22.607225``, in UTC."""
    return as_utc(value).isoformat(" ", "microseconds")


def rfc3339(value: datetime) -> str:
    """Return a time for native JSON: ``2018-09-05T17:24:22.607Z``, with microseconds if any."""
    value = as_utc(value)
    return (
        value.isoformat("T", "microseconds" if value.microsecond % 1000 else "milliseconds") + "Z"
    )


def base64(value: bytes) -> str:
    """Return bytes as base64 text."""
    return b64encode(value).decode()


def escape_key(key: str) -> str:
    """Return a key as it is stored."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], key)


def unescape_key(key: str) -> str:
    """Return the original of a stored key; the inverse of `escape_key`."""
    return _ESCAPED.sub(lambda match: _UNESCAPES[match[1]], key) if "\\" in key else key


def restore_keys(value: object) -> object:
    """Return a copy of a stored result with its original keys; call it only once.

    Parameters
    ----------
    value : object
        An encoded result, before or after the database.
    """
    if isinstance(value, dict):
        return {unescape_key(key): restore_keys(item) for key, item in value.items()}
    if isinstance(value, list) and not {dict, list}.isdisjoint(map(type, value)):
        return [restore_keys(item) for item in value]
    return value


def unique_keys(labels: Iterable[Any]) -> list[str]:
    """Return a unique string for each label, in order and not yet escaped.

    Strings stay unchanged. Anything else becomes its ``str``, with a number if that is taken:
    ``{5: 1, "5": 2}`` has the keys ``5 (2)`` and ``5``.
    """
    labels = list(labels)
    strings = {label for label in labels if type(label) is str}
    if len(strings) == len(labels) and all(map(str.isascii, strings)):
        return labels
    used: set[str] = set()
    counts: dict[str, int] = {}
    keys = []
    for label in labels:
        key = text = text_of(label)
        while key in used or (key in strings and type(label) is not str):
            counts[text] = counts.get(text, 1) + 1
            key = f"{text} ({counts[text]})"
        used.add(key)
        keys.append(key)
    return keys
