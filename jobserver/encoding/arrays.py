"""Show arrays as plain nested lists, or as they are stored: with type, dtype and shape.

In a large result that is stored as JSON, what only typed responses show is tagged: it stands
between `OPEN` and `CLOSE`, two characters that JSON escapes everywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, TypeGuard

from jobserver.encoding.table_columns import Head, flatten
from jobserver.encoding.text import unescape_key

OPEN, CLOSE = b"\x01", b"\x02"
_FIELDS = {"type", "dtype", "shape", "data"}
_TYPED = re.compile(rb"\x01[^\x02]*\x02?")


def is_array(value: object) -> TypeGuard[Head]:
    """Whether a value is a stored array, whose data has its shape."""
    if not isinstance(value, dict) or value.get("type") != "ndarray" or value.keys() != _FIELDS:
        return False
    data, shape = value["data"], value["shape"]
    try:
        flat = flatten(data, len(shape)) if data else []
        return isinstance(data, list) and len(flat) == prod(shape)
    except TypeError:  # it only resembles an array
        return False


def plain(value: object) -> Any:
    """Return a copy of a stored result with its original keys, and arrays as nested lists."""
    if isinstance(value, dict):
        if is_array(value):
            return plain(value["data"])
        return {unescape_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list) and not {dict, list}.isdisjoint(map(type, value)):
        return [plain(item) for item in value]
    return value


def untagged(pieces: Iterable[bytes], *, typed: bool) -> Iterator[bytes]:
    """Yield stored JSON with its arrays as clients see them."""
    inside = False
    for piece in pieces:
        if typed:
            yield piece.translate(None, OPEN + CLOSE)
            continue
        whole = OPEN + piece if inside else piece
        inside = whole.rfind(OPEN) > whole.rfind(CLOSE)
        yield _TYPED.sub(b"", whole)
