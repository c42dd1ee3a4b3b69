"""Reading the JSON that clients send: strict, and quick for bodies that hold nothing odd.

A look at the bytes tells whether a body can hold anything that is refused, apart from duplicate
keys. If so it is read with more checks. Only a body that is refused is read once more, to say
where its problems are.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from jobserver.errors import BadRequest, Problem

#: How many problems of one body are told at most.
PROBLEMS_TOLD = 20
_INT64 = range(-(2**63), 2**63)
_LONGEST_INT64 = 20
_SHOWN = 60

_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_TO_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_EMPTY_KEY = re.compile(rb'""\s*:')


class _Refused(Exception):
    """The body holds something that cannot be stored."""


def read_object(body: bytes, max_depth: int = 32) -> dict[str, Any]:
    """Read a JSON object as strictly as it has to be stored.

    Parameters
    ----------
    body : bytes
        JSON in UTF-8.
    max_depth : int
        Levels of objects and lists, the outermost included.

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
    if _is_deeper(body, max_depth):
        raise BadRequest(f"The body is nested deeper than {max_depth} levels; flatten it.")
    try:
        value = _parse(text, body)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"The body is not valid JSON: {error.msg} at {place}.") from error
    except _Refused:
        raise _refusal(text) from None
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


def _is_deeper(body: bytes, depth: int) -> bool:
    """Whether brackets are nested deeper, found without parsing: the parser would recurse."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(bare.translate(_TO_BRACKETS, _NOT_STRUCTURE).split(b'"')[::2])
    for _ in range(depth):  # each round takes the innermost level away
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > depth


def _parse(text: str, body: bytes) -> Any:
    if _may_be_odd(body):
        value = _STRICT.decode(text)
        _check_characters(value)
    else:
        value = _QUICK.decode(text)
    if isinstance(value, dict) and any("." in name for name in value):
        raise _Refused
    return value


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


def _check_characters(value: Any) -> None:
    try:
        orjson.dumps(value)
    except TypeError:  # half a surrogate: all else that it refuses is refused before
        raise _Refused from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused
    return value


def _distinct_and_storable(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if any(not key or key[0] == "$" or "\0" in key for key, _ in pairs):
        raise _Refused
    return _distinct(pairs)


def _int64(text: str) -> int:
    if len(text) > _LONGEST_INT64 or int(text) not in _INT64:
        raise _Refused
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise _Refused
    return value


_QUICK = json.JSONDecoder(object_pairs_hook=_distinct, parse_constant=_finite)
_STRICT = json.JSONDecoder(
    object_pairs_hook=_distinct_and_storable,
    parse_int=_int64,
    parse_float=_finite,
    parse_constant=_finite,
)


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, duplicate keys and all."""


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


_AS_WRITTEN = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_Number
)


def _refusal(text: str) -> BadRequest:
    search = _Search()
    search.visit(_AS_WRITTEN.decode(text))
    problems = search.problems
    first = f"The body cannot be stored: {problems[0].field} {problems[0].problem}."
    more = " There is more, see errors." if len(problems) > 1 else ""
    return BadRequest(first + more, problems)


class _Search:
    """Finds what cannot be stored, in the order of the text, and remembers where it is.

    Attributes
    ----------
    problems : list of Problem
        The first of them.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._path: list[str | int] = []

    def visit(self, value: Any) -> None:
        """Look through a value that was read as written."""
        if isinstance(value, _Pairs):
            self._visit_object(value)
        elif isinstance(value, list):
            self._path.append(0)
            for index, item in enumerate(value):
                self._path[-1] = index
                self.visit(item)
            self._path.pop()
        elif isinstance(value, _Number):
            self._note(_number_problem(value))
        elif isinstance(value, str) and not value.isascii():
            self._note(_text_problem(value))

    def _visit_object(self, pairs: _Pairs) -> None:
        seen = set()
        self._path.append("")
        for key, item in pairs:
            self._path[-1] = key
            twice = "is given twice; keep one of them" if key in seen else None
            self._note(twice or _key_problem(key, at_top=len(self._path) == 1))
            seen.add(key)
            self.visit(item)
        self._path.pop()

    def _note(self, problem: str | None) -> None:
        if problem and len(self.problems) < PROBLEMS_TOLD:
            where = ".".join(map(_shown, self._path)) or "the value"
            self.problems.append(Problem(where, problem))


def _key_problem(key: str, *, at_top: bool) -> str | None:
    if not key:
        return "is a name without a character; name it"
    if key[0] == "$":
        return "starts with $, which the database keeps for itself; rename it"
    if "\0" in key:
        return "holds a NUL character in its name; remove it"
    if at_top and "." in key:
        return "has a dot, which a name at the top cannot have; rename or nest it"
    return _text_problem(key)


def _text_problem(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; remove it"
    return None


def _number_problem(number: _Number) -> str | None:
    if number[-1].isalpha():
        return f"is {number}, which JSON does not have; send null or a string"
    if number.lstrip("-").isdigit():
        is_int64 = len(number) <= _LONGEST_INT64 and int(number) in _INT64
        return None if is_int64 else "is an integer beyond 64 bits; send it as a string"
    return None if math.isfinite(float(number)) else "is too large for a number; send a string"


def _shown(key: str | int) -> str:
    """A part of a path so that one can read it, odd as it may be."""
    text = str(key).encode("utf-8", "backslashreplace").decode().replace("\0", r"\0") or '""'
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
