"""Reading the JSON that clients send: strict, and quick for bodies that hold nothing odd.

A look at the bytes tells whether a body could hold anything that is refused, apart from duplicate
keys and names with dots. Only then it is read value by value (`jobserver.encoding.scrutiny`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from jobserver.encoding.scrutiny import read_closely
from jobserver.errors import BadRequest

_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_TO_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_EMPTY_KEY = re.compile(rb'""\s*:')


def read_object(body: bytes, max_depth: int = 32, *, stored: bool = True) -> dict[str, Any]:
    """Read a JSON object as strictly as it has to be stored.

    Parameters
    ----------
    body : bytes
        JSON in UTF-8.
    max_depth : int
        Levels of objects and lists, the outermost included.
    stored : bool
        False for a filter: its names may be empty, start with ``$``, or hold NUL or dots.

    Returns
    -------
    dict
        The object; its keys are in the order in which they came.

    Raises
    ------
    BadRequest
        If it is no JSON object, is nested too deep, or holds NaN, infinities, numbers beyond 64
        bits, duplicate keys, half surrogates, keys that are empty, start with ``$`` or hold NUL,
        or names with a dot at the top. ``errors`` says where.
    """
    text = _decode(body)
    if is_deeper(body, max_depth):
        raise BadRequest(f"The body is nested deeper than {max_depth} levels; flatten it.")
    try:
        value = (read_closely if _may_be_odd(body) else _read_quickly)(text, stored)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not valid JSON: {error.msg} at {place}.") from error
    if not isinstance(value, dict):
        raise BadRequest('The body must be a JSON object, such as {"foo": 42}.')
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"The body is not UTF-8: byte {error.start} is {body[error.start]:#04x}. "
            "Send the JSON encoded as UTF-8."
        ) from error


def is_deeper(body: bytes | bytearray, depth: int) -> bool:
    """Whether brackets are nested deeper, found without parsing: the parser would recurse."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(bare.translate(_TO_BRACKETS, _NOT_STRUCTURE).split(b'"')[::2])
    for _ in range(depth):  # each round takes the innermost level away
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > depth


def _may_be_odd(body: bytes) -> bool:
    """Whether there may be a long number, an odd key or an escaped character."""
    digits = body.translate(_TO_ZEROS, b"+")
    return (
        b"0" * 19 in digits
        or b"e000" in digits
        or b'"$' in body
        or b"\\u" in body
        or _EMPTY_KEY.search(body) is not None
    )


class _Odd(Exception):
    """Something that the bytes did not tell."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Odd
    return value


def _no_constant(_: str) -> None:
    raise _Odd


_QUICK = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_no_constant)


def _read_quickly(text: str, stored: bool) -> Any:
    try:
        value = _QUICK.decode(text)
    except _Odd:
        return read_closely(text, stored)
    has_dots = isinstance(value, dict) and "." in "".join(value)
    return read_closely(text, stored) if has_dots else value
