"""Writing JSON: every leaf as a string, as the documentation has it, or native."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from bson import ObjectId
from bson.timestamp import Timestamp

from jobserver.encoding.text import base64, rfc3339, stamp, text_of, time_of

_Writer = Callable[[Any], Any]


def stringify(value: Any) -> Any:
    """A value with every leaf as a string.

    Dicts are walked, everything else is a leaf, lists too: ``"None"``, ``"42"``, ``"[1, 2]"``,
    ``"2018-09-05 17:24:22.607225"`` (UTC). Bytes become base64.
    """
    return _TEXTS.get(type(value), _other_text)(value)


def native(value: Any) -> Any:
    """A value of what JSON has only, for any value.

    Times become RFC 3339 in UTC, ids hexadecimal, bytes base64, NaN and infinities null, sets and
    tuples lists, and what JSON does not know its ``str``.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is dict:
        return {text_of(key): native(item) for key, item in value.items()}
    if kind is list:
        return [native(item) for item in value]
    simpler = _simpler(value)
    return native(simpler)


def dumps(value: Any, *, strings: bool = False) -> bytes:
    """Strict JSON in UTF-8, keys in their order.

    Parameters
    ----------
    value : Any
        A document of the database, or anything made of such values. Keys of results are written
        as they stand: see `restore_keys`.
    strings : bool
        Whether every leaf becomes a string, see `stringify`; otherwise as `native` has it.
    """
    if strings:
        value = stringify(value)
    try:
        return orjson.dumps(value, default=_simpler, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:  # integers beyond 64 bits, keys that are no strings, half surrogates
        text = json.dumps(native(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def _simpler(value: Any) -> Any:
    """A value that JSON lacks, as one nearer to it."""
    for kind, writer in _SIMPLER.items():
        if isinstance(value, kind):
            return writer(value)
    return text_of(value)


def _dict_texts(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: item if type(item) is str else _TEXTS.get(type(item), _other_text)(item)
        for key, item in value.items()
    }


def _other_text(value: Any) -> Any:
    """The text of a rarer type, such as a subclass."""
    for kind, writer in _TEXTS.items():
        if isinstance(value, kind):
            return writer(value)
    return text_of(value)


def _sequence_text(value: Any) -> str:
    return str(value if _PLAIN.issuperset(map(type, value)) else _readable(value))


def _readable(value: Any) -> Any:
    """A value whose ``str`` shows times, ids and bytes inside it as they look outside."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    for kind in (list, tuple):
        if isinstance(value, kind):
            return kind(_readable(item) for item in value)
    for number in (int, float):
        if isinstance(value, number):
            return number(value)
    return stringify(value)


_PLAIN = {str, int, float, bool, type(None)}
_TEXTS: dict[type, _Writer] = {
    str: text_of,
    dict: _dict_texts,
    datetime: stamp,
    Timestamp: lambda value: stamp(time_of(value)),
    ObjectId: str,
    bytes: base64,
    bytearray: base64,
    list: _sequence_text,
    tuple: _sequence_text,
    type(None): str,
    bool: str,
    int: str,
    float: str,
}
_SIMPLER: dict[type, _Writer] = {
    datetime: rfc3339,
    Timestamp: lambda value: rfc3339(time_of(value)),
    bytes: base64,
    bytearray: base64,
    str: str.__str__,
    int: int,
    float: float,
    dict: dict,
    list: list,
    tuple: list,
    set: list,
    frozenset: list,
}
