"""JSON of values that are too large to be written at once: piece by piece.

The pieces together are what `jobserver.encoding.json_writer.dumps` would give.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import islice
from math import prod
from typing import Any

from jobserver.encoding.columns import nest
from jobserver.encoding.json_writer import dumps
from jobserver.encoding.keys import restore_keys, unescape_key
from jobserver.encoding.table_columns import CELLS, ColumnTable, inner_level
from jobserver.encoding.text_tables import Readable

#: Bytes that become base64 at once; three of them become four characters.
_BYTES = 3 * 2**18
_PARTS = 16
_ATOMS = {type(None), bool, int, float}


def sheet_json(sheet: Readable) -> Iterator[bytes]:
    """A table as it would be stored in a document."""
    columns = sheet.columns()
    separator = b"{"
    for name, value in sheet.head.items():
        yield separator + dumps(name) + b":"
        separator = b","
        if name == "index":
            yield from _listed(next(columns)) if value else [b"null"]
        elif name == "data" and sheet.head["type"] == "dataframe":
            yield from _object((key, _listed(next(columns))) for key in value)
        elif name == "data":
            yield from _listed(next(columns), sheet.head.get("shape"))
        else:
            yield dumps(restore_keys(value))
    yield b"}"


def _object(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    separator = b"{"
    for key, pieces in members:
        yield separator + dumps(key) + b":"
        yield from pieces
        separator = b","
    yield b"{}" if separator == b"{" else b"}"


def _listed(pieces: Iterable[list[Any]], shape: list[int] | None = None) -> Iterator[bytes]:
    """Values as a list, or as lists in each other, of which each piece fills innermost ones."""
    shape = shape or [0]
    level = inner_level(shape)
    sizes = [prod(shape[outer:]) for outer in range(1, level)]
    place = 0
    for values in pieces:
        opened = sum(place % size == 0 for size in sizes)
        yield (b"," if place else b"[") + b"[" * opened
        rows = nest(values, (-1, *shape[level:])) if shape[level:] else values
        yield dumps(restore_keys(rows))[1:-1]
        place += len(values)
        yield b"]" * sum(place % size == 0 for size in sizes)
    yield b"]" if place else b"[]"


def value_json(value: Any) -> Iterator[bytes]:
    """A result as `jobserver.encoding.encoder.Encoder` made it, sheets in it too."""
    if isinstance(value, ColumnTable):
        yield from sheet_json(value)
    elif is_light(value, CELLS):
        yield dumps(restore_keys(value))
    elif isinstance(value, str):
        yield from text_json(_cut(value, CELLS))
    elif isinstance(value, bytes):
        yield from bytes_json(_cut(value, _BYTES))
    else:
        yield b"{" if isinstance(value, dict) else b"["
        yield from _members(value)
        yield b"}" if isinstance(value, dict) else b"]"


def _members(container: Any) -> Iterator[bytes]:
    """What is between the brackets of a dict or list."""
    if is_light(container, CELLS):
        yield dumps(restore_keys(container))[1:-1]
    elif len(container) == 1 and isinstance(container, dict):
        [(key, value)] = container.items()
        yield dumps(unescape_key(key)) + b":"
        yield from value_json(value)
    elif len(container) == 1:
        yield from value_json(container[0])
    else:
        for place, part in enumerate(_parts(container)):
            if place:
                yield b","
            yield from _members(part)


def _parts(container: Any) -> Iterator[Any]:
    """A dict or list as some smaller ones."""
    step = -(-len(container) // _PARTS)
    if isinstance(container, list):
        yield from _cut(container, step)
        return
    items = iter(container.items())
    while part := dict(islice(items, step)):
        yield part


def _cut(value: Any, size: int) -> Iterator[Any]:
    """A list, text or bytes as pieces of a size."""
    return (value[start : start + size] for start in range(0, len(value), size))


def text_json(pieces: Iterable[str]) -> Iterator[bytes]:
    """Text as one string."""
    yield b'"'
    for piece in pieces:
        yield dumps(piece)[1:-1]
    yield b'"'


def bytes_json(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Bytes as one string of base64; the length of each piece but the last is a multiple of 3."""
    yield b'"'
    yield from map(b64encode, pieces)
    yield b'"'


def is_light(value: Any, limit: int) -> bool:
    """Whether a value holds no more than so many values, or 16 times as many characters."""
    return _left(value, limit) >= 0


def _left(value: Any, limit: int) -> int:
    """What a value leaves of the limit, or something below 0."""
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
            limit = _left(item, limit)
    return limit
