"""Reading the JSON that clients send: strict, and quick for bodies that hold nothing odd.

A look at the bytes tells whether a body could hold anything that is refused, apart from duplicate
keys and names with dots. Only then it is read value by value (`jobserver.encoding.json_reader`).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from jobserver.errors import BadRequest, Problem

_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_TO_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_EMPTY_KEY = re.compile(rb'""\s*:')
#: How many problems of one body are told at most.
PROBLEMS_TOLD = 20
_INT64 = range(-(2**63), 2**63)
_LONGEST_INT64 = 20
_SHOWN = 60
_NEVER_ODD = {int, float, bool, type(None)}


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


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written, where its keys cannot be taken."""


class _Number(str):
    """A number as it was written, where it cannot be taken."""

    __slots__ = ()


def read_closely(text: str, stored: bool = True) -> Any:
    """Read JSON value by value.

    Parameters
    ----------
    text : str
        JSON, not nested deep.
    stored : bool
        Whether its names have to be fit for the database.

    Raises
    ------
    BadRequest
        If something in it cannot be stored; ``errors`` says where, up to `PROBLEMS_TOLD`.
    json.JSONDecodeError
        If it is no JSON.
    """
    reader = _Reader(stored)
    value = reader.read(text)
    if reader.found_odd or not _is_plain(value):
        reader.search(value)
    if problems := reader.problems:
        more = " There is more, see errors." if len(problems) > 1 else ""
        first = f"The body cannot be stored: {problems[0].field} {problems[0].problem}."
        raise BadRequest(first + more, problems)
    return value


def _is_plain(value: Any) -> bool:
    """Whether all text is of whole characters, and no name at the top has a dot."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return not isinstance(value, dict) or "." not in "".join(value)


class _Reader:
    """Reads JSON, keeping what cannot be stored as it was written, and then finds it.

    Attributes
    ----------
    found_odd : bool
        Whether a number or an object was kept as written.
    problems : list of Problem
        The first that `search` found, in the order of the text.
    """

    def __init__(self, stored: bool) -> None:
        self._name_problem = _key_problem if stored else _text_problem
        self._stored = stored
        self.found_odd = False
        self.problems: list[Problem] = []
        self._path: list[str | int] = []

    def read(self, text: str) -> Any:
        """Parse; `_Pairs` and `_Number` stand for what cannot be stored."""
        return json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._odd_number,
        ).decode(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Pairs:
        value = dict(pairs)
        odd = len(value) != len(pairs)
        for key in value if self._stored else ():
            odd = odd or not key or key[0] == "$" or "\0" in key
        if not odd:
            return value
        self.found_odd = True
        return _Pairs(pairs)

    def _integer(self, text: str) -> int | _Number:
        fits = len(text) <= _LONGEST_INT64 and int(text) in _INT64
        return int(text) if fits else self._odd_number(text)

    def _float(self, text: str) -> float | _Number:
        value = float(text)
        return value if math.isfinite(value) else self._odd_number(text)

    def _odd_number(self, text: str) -> _Number:
        self.found_odd = True
        return _Number(text)

    def search(self, value: Any) -> None:
        """Collect the problems of a value that was read."""
        if isinstance(value, dict | _Pairs):
            self._search_object(value.items() if isinstance(value, dict) else value)
        elif isinstance(value, list):
            self._path.append(0)
            for index, item in enumerate(value):
                if type(item) not in _NEVER_ODD:
                    self._path[-1] = index
                    self.search(item)
            self._path.pop()
        elif isinstance(value, _Number):
            self._note(_number_problem(value))
        elif isinstance(value, str):
            self._note(_text_problem(value))

    def _search_object(self, pairs: Any) -> None:
        seen = set()
        self._path.append("")
        for key, item in pairs:
            self._path[-1] = key
            again = "is given twice; keep one of them"
            self._note(again if key in seen else self._name_problem(key))
            if self._stored and len(self._path) == 1 and "." in key:
                self._note("has a dot, which a name at the top cannot have; rename or nest it")
            seen.add(key)
            if type(item) not in _NEVER_ODD:
                self.search(item)
        self._path.pop()

    def _note(self, problem: str | None) -> None:
        if problem and len(self.problems) < PROBLEMS_TOLD:
            where = ".".join(map(_shown, self._path)) or "the value"
            self.problems.append(Problem(where, problem))


def _key_problem(key: str) -> str | None:
    if not key:
        return "is a name without a character; name it"
    if key[0] == "$":
        return "starts with $, which the database keeps for itself; rename it"
    if "\0" in key:
        return "holds a NUL character in its name; remove it"
    return _text_problem(key)


def _text_problem(text: str) -> str | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character; remove it"
    return None


def _number_problem(number: _Number) -> str:
    if number[-1].isalpha():
        return f"is {number}, which JSON does not have; send null or a string"
    if number.lstrip("-").isdigit():
        return "is an integer beyond 64 bits; send it as a string"
    return "is too large for a number; send it as a string"


def _shown(key: str | int) -> str:
    """A part of a path so that one can read it, odd as it may be."""
    text = str(key).encode("utf-8", "backslashreplace").decode().replace("\0", r"\0") or '""'
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
