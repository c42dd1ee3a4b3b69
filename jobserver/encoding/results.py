"""Whatever a script returns, as something the database holds; used where scripts run.

JSON-like values stay as they are: a dict a dict, 42 a 42. What BSON lacks becomes the nearest
thing that it has (`jobserver.encoding.scalars`), tables get a shape of their own
(`jobserver.encoding.tables`), figures become PNG, and the rest its ``str``, with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bson
from bson.int64 import Int64
from bson.timestamp import Timestamp

from jobserver.encoding.encoder import Encoder
from jobserver.encoding.keys import restore_keys, unescape_key
from jobserver.encoding.table_columns import ColumnTable
from jobserver.encoding.tables import decode_table, is_table
from jobserver.encoding.text import time_of
from jobserver.errors import BadRequest

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Encoded:
    """A result as it is stored.

    Attributes
    ----------
    value : Any
        Of dict, list, str, int (64 bits), float, bool, None, datetime (UTC, without zone),
        `bson.Timestamp` (a time with microseconds) and bytes. Keys are escaped: `restore_keys`
        undoes it.
    kind : str
        ``dataframe``, ``series``, ``index``, ``ndarray``, ``png``, ``bytes``, ``text`` or
        ``json``.
    warnings : tuple of str
        What could not be kept as it was, and what to return instead.
    """

    value: Any
    kind: str
    warnings: tuple[str, ...] = ()


def encode_result(value: Any) -> Encoded:
    """Turn what a script returned into what the database stores.

    Parameters
    ----------
    value : Any
        Anything. An iterator is not consumed, since it may never end.

    Raises
    ------
    JobserverError
        If it contains itself or is nested deeper than the database takes.
    """
    encoder = Encoder()
    encoded = encoder.encode(value)
    return Encoded(encoded, kind_of(encoded), tuple(encoder.warnings))


def decode_result(value: Any) -> Any:
    """What a stored value stands for: tables and arrays as such, the rest as it is stored.

    Parameters
    ----------
    value : Any
        As an `Encoder` made it.
    """
    if isinstance(value, list):
        return [decode_result(item) for item in value]
    if isinstance(value, Timestamp):
        return time_of(value)
    if not isinstance(value, dict):
        return int(value) if isinstance(value, Int64) else value
    if is_table(value):
        try:
            return decode_table(restore_keys(_with_times(value)))
        except BadRequest:  # it only looks like a table
            return restore_keys(value)
    return {unescape_key(key): decode_result(item) for key, item in value.items()}


def _with_times(value: Any) -> Any:
    """A table whose cells have Python's own times."""
    if isinstance(value, dict):
        return {key: _with_times(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_times(item) for item in value]
    return time_of(value) if isinstance(value, Timestamp) else value


def encoded_size(value: Any) -> int:
    """Bytes that a stored value takes as BSON, as the field of a document."""
    return len(bson.encode({"": value}))


def kind_of(value: Any) -> str:
    """The kind of a stored value, as `Encoded` has it; of a `ColumnTable` too."""
    if isinstance(value, ColumnTable):
        return str(value.head["type"])
    if is_table(value):
        return str(value["type"])
    if isinstance(value, bytes):
        return "png" if value.startswith(_PNG) else "bytes"
    return "text" if isinstance(value, str) else "json"
