"""Write JSON: with every leaf as a string or native, and large values piece by piece."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from math import prod
from typing import Any, TypeVar

import orjson
from bson import ObjectId
from bson.timestamp import Timestamp

from jobserver.encoding.arrays import CLOSE, OPEN, is_array, plain
from jobserver.encoding.table_columns import CELLS, ColumnTable, Head, Readable, inner_level, nest
from jobserver.encoding.text import (
    base64,
    restore_keys,
    rfc3339,
    stamp,
    text_of,
    time_of,
    unescape_key,
)

S = TypeVar("S", list[object], str, bytes)
_Container = dict[str, object] | list[object]
_Writer = Callable[[Any], object]
#: Returns a copy of a stored value with its original keys.
Restore = Callable[[object], object]

#: Bytes encoded as base64 at once; a multiple of three.
_BYTES = 3 * 2**18
_PARTS = 16
_ATOMS = {type(None), bool, int, float}
_OPTION = orjson.OPT_PASSTHROUGH_DATETIME


def stringify(value: object) -> object:
    """Return a value with every leaf as a string.

    Everything but a dict is a leaf, even a list: ``"None"``, ``"42"``, ``"[1, 2]"``,
    ``"2018-09-05 17:24:22.607225"`` (UTC). Bytes become base64.
    """
    return _TEXTS.get(type(value), _other_text)(value)


def native(value: Any) -> object:
    """Return a value as one that JSON can represent.

    Times become RFC 3339 in UTC, ids hexadecimal, bytes base64, NaN and infinities null, sets and
    tuples lists, and anything else its ``str``.
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


def dumps(value: object, *, strings: bool = False) -> bytes:
    """Return strict JSON in UTF-8, with keys in order.

    Parameters
    ----------
    value : object
        A document of the database, or anything made of such values. Keys of results are written
        as stored: see `restore_keys`.
    strings : bool
        Whether to write every leaf as a string (see `stringify`), instead of as in `native`.
    """
    if strings:
        value = stringify(value)
    try:
        return _dumped(value)
    except TypeError:  # integers beyond 64 bits, keys that are not strings, lone surrogates
        text = json.dumps(native(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace")


def _dumped(value: object) -> bytes:
    return orjson.dumps(value, default=_simpler, option=_OPTION)


def _simpler(value: object) -> object:
    """Return a value that JSON lacks as a simpler one."""
    for kind, writer in _SIMPLER.items():
        if isinstance(value, kind):
            return writer(value)
    return text_of(value)


def _dict_texts(value: dict[str, object]) -> dict[str, object]:
    return {
        key: item if type(item) is str else _TEXTS.get(type(item), _other_text)(item)
        for key, item in value.items()
    }


def _other_text(value: object) -> object:
    """Return the text of a rarer type, such as a subclass."""
    for kind, writer in _TEXTS.items():
        if isinstance(value, kind):
            return writer(value)
    return text_of(value)


def _sequence_text(value: Collection[object]) -> str:
    return str(value if _PLAIN.issuperset(map(type, value)) else _readable(value))


def _readable(value: object) -> object:
    """Return a value whose ``str`` shows times, ids and bytes inside it as `stringify` does."""
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


def table_json(table: Readable, restore: Restore = restore_keys) -> Iterator[bytes]:
    """Yield the JSON of a table; `dumps` returns the same for its stored document.

    Parameters
    ----------
    restore : callable
        How to show arrays, even this one: `restore_keys`, `plain` or `tag`.
    """
    columns = table.columns()
    if table.head["type"] == "ndarray":
        data = _listed(next(columns), restore, table.head["shape"])
        yield from _array_json(table.head, data, restore)
        return
    separator = b"{"
    for name, value in table.head.items():
        yield separator + dumps(name) + b":"
        separator = b","
        if name == "index":
            yield from _listed(next(columns), restore) if value else [b"null"]
        elif name == "data" and table.head["type"] == "dataframe":
            yield from _object((key, _listed(next(columns), restore)) for key in value)
        elif name == "data":
            yield from _listed(next(columns), restore)
        else:
            yield dumps(restore_keys(value))
    yield b"}"


def _array_json(
    head: Head, data: Iterable[bytes], restore: Restore = restore_keys
) -> Iterator[bytes]:
    """Yield the JSON of an array."""
    names = list(head)
    before, after = names[: names.index("data")], names[names.index("data") + 1 :]
    start = b"".join(_member(name, head[name]) + b"," for name in before)
    end = b"".join(b"," + _member(name, head[name]) for name in after)
    first, last = b"{" + start + b'"data":', end + b"}"
    if restore is tag:
        first, last = OPEN + first + CLOSE, OPEN + last + CLOSE
    yield from data if restore is plain else chain([first], data, [last])


def _member(name: str, value: object) -> bytes:
    return dumps({name: restore_keys(value)})[1:-1]


def tag(value: object) -> object:
    """Return a stored result for `orjson`, with tags around what `plain` leaves out."""
    if isinstance(value, dict):
        if is_array(value):
            data = [_dumped(tag(value["data"]))]
            return orjson.Fragment(b"".join(_array_json(value, data, tag)))
        return _tagged_members(value)
    if isinstance(value, list) and not {dict, list}.isdisjoint(map(type, value)):
        return [tag(item) for item in value]
    return value


def _tagged_members(value: dict[str, object]) -> dict[str, object]:
    return {unescape_key(key): tag(item) for key, item in value.items()}


def _object(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    separator = b"{"
    for key, pieces in members:
        yield separator + dumps(key) + b":"
        yield from pieces
        separator = b","
    yield b"{}" if separator == b"{" else b"}"


def _listed(
    pieces: Iterable[list[object]], restore: Restore, shape: list[int] | None = None
) -> Iterator[bytes]:
    """Yield values as a list, or as nested lists, of which each piece fills innermost ones."""
    shape = shape or [0]
    level = inner_level(shape)
    sizes = [prod(shape[outer:]) for outer in range(1, level)]
    count = 0
    for values in pieces:
        opened = sum(count % size == 0 for size in sizes)
        yield (b"," if count else b"[") + b"[" * opened
        rows = nest(values, (-1, *shape[level:])) if shape[level:] else values
        yield _dumped(restore(rows))[1:-1]
        count += len(values)
        yield b"]" * sum(count % size == 0 for size in sizes)
    yield b"]" if count else b"[]"


def value_json(value: Any) -> Iterator[bytes]:
    """Yield the JSON of an encoded result, including every `ColumnTable` in it; see `untagged`."""
    if isinstance(value, ColumnTable):
        yield from table_json(value, tag)
    elif is_light(value, CELLS):
        yield _dumped(tag(value))
    elif is_array(value):
        yield from _array_json(value, value_json(value["data"]), tag)
    elif isinstance(value, str):
        yield from text_json(_cut(value, CELLS))
    elif isinstance(value, bytes):
        yield from bytes_json(_cut(value, _BYTES))
    else:
        yield b"{" if isinstance(value, dict) else b"["
        yield from _members(value)
        yield b"}" if isinstance(value, dict) else b"]"


def _members(container: _Container) -> Iterator[bytes]:
    """Yield what is between the brackets of a dict or list."""
    if is_light(container, CELLS):
        tagged = _tagged_members(container) if isinstance(container, dict) else tag(container)
        yield _dumped(tagged)[1:-1]
    elif len(container) > 1:
        for number, part in enumerate(_parts(container)):
            if number:
                yield b","
            yield from _members(part)
    elif isinstance(container, dict):
        [(key, value)] = container.items()
        yield dumps(unescape_key(key)) + b":"
        yield from value_json(value)
    else:
        yield from value_json(container[0])


def _parts(container: _Container) -> Iterator[_Container]:
    """Yield a dict or list as smaller ones."""
    step = -(-len(container) // _PARTS)
    if isinstance(container, list):
        yield from _cut(container, step)
        return
    items = iter(container.items())
    while part := dict(islice(items, step)):
        yield part


def _cut(value: S, size: int) -> Iterator[S]:
    """Return a list, text or bytes as pieces of a size."""
    return (value[start : start + size] for start in range(0, len(value), size))


def text_json(pieces: Iterable[str]) -> Iterator[bytes]:
    """Yield text as one string."""
    yield b'"'
    for piece in pieces:
        yield dumps(piece)[1:-1]
    yield b'"'


def bytes_json(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bytes as one base64 string; all pieces but the last must be a multiple of 3 long."""
    yield b'"'
    yield from map(b64encode, pieces)
    yield b'"'


def is_light(value: object, limit: int) -> bool:
    """Whether a value contains at most so many values, or 16 times as many characters."""
    return _remaining(value, limit) >= 0


def _remaining(value: object, limit: int) -> int:
    """Return the limit minus the size of a value; negative if it is too large."""
    if isinstance(value, ColumnTable):
        return limit - value.rows * len(value.parts)
    if isinstance(value, str | bytes):
        return limit - 1 - len(value) // 16
    if not isinstance(value, dict | list):
        return limit - 1
    limit -= len(value)
    if isinstance(value, dict):
        limit -= sum(map(len, value)) // 16
        value = value.values()
    if not _ATOMS.issuperset(map(type, value)):
        for item in value:
            if limit < 0:
                break
            limit = _remaining(item, limit)
    return limit
