"""Read the JSON that clients send: strictly, and naming everything that cannot be stored."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TypeAlias

import orjson

from jobserver.encoding.scalars import INT64
from jobserver.errors import Advised, BadRequest, Problem, TooLarge

#: What JSON can hold.
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_NOT_COUNTED = bytes(set(range(256)) - set(b'"[{,'))
#: Most lists and objects in a body, and most values in all: building them stops other requests.
MOST_CONTAINERS, MOST_VALUES = 200_000, 1_000_000
#: Problems reported for one body.
MOST_PROBLEMS = 20
_LONGEST_INT64 = 20
_LONGEST_NAME = 60
_ALWAYS_VALID = {int, float, bool, type(None)}


def read_object(
    body: bytes, max_depth: int = 32, *, stored: bool = True, name: str = "The body"
) -> dict[str, JsonValue]:
    """Read a JSON object that can be stored as it is.

    Parameters
    ----------
    body : bytes
        JSON in UTF-8.
    max_depth : int
        Maximum levels of objects and lists, including the outermost.
    stored : bool
        False for a filter: its names may be empty, start with ``$``, or contain NUL or dots.
    name : str
        What refusals call it.

    Returns
    -------
    dict
        The object, its keys in their original order.

    Raises
    ------
    BadRequest
        If the body is not a JSON object, is nested too deep, or contains NaN, infinities, integers
        beyond 64 bits, duplicate keys, lone surrogates, keys that are empty, start with ``$`` or
        contain NUL, or top-level names with a dot. ``errors`` lists up to `MOST_PROBLEMS`.
    TooLarge
        If it has more than `MOST_VALUES` values, or more than `MOST_CONTAINERS` lists and objects.
    """
    text = _decode(body, name)
    _check_count(body, name)
    if is_deeper(body, max_depth):
        raise BadRequest(f"{name} is nested deeper than {max_depth} levels; flatten it.")
    reader = _Reader(stored)
    try:
        value = reader.read(text)
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        text = f"{name} is not valid JSON: {error.msg} at {position}."
        raise BadRequest(text + _hint(error)) from error
    if problems := reader.problems:
        more = " There are more; see errors." if len(problems) > 1 else ""
        what = "cannot be stored" if stored else "is invalid"
        first = f"{name} {what}: {problems[0].field} {problems[0].problem}."
        raise BadRequest(first + more, problems)
    if not isinstance(value, dict):
        raise BadRequest(f'{name} must be a JSON object, such as {{"foo": 42}}.')
    return value


def _hint(error: json.JSONDecodeError) -> str:
    """Return what to change in JSON that is nearly right."""
    before, at = error.doc[: error.pos].rstrip(), error.doc[error.pos : error.pos + 1]
    if at in ("}", "]") and before.endswith(","):
        return f" Remove the comma before '{at}'."
    if at == "'":
        return " Use double quotes."
    return ""


def _decode(body: bytes, name: str) -> str:
    try:
        return body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadRequest(
            f"{name} is not UTF-8: byte {error.start} is {body[error.start]:#04x}. "
            "Send the JSON encoded as UTF-8."
        ) from error


def _check_count(body: bytes, name: str) -> None:
    """Raise `TooLarge` if a body has too many values, without parsing it."""
    if body.count(b"[") + body.count(b"{") + body.count(b",") < MOST_CONTAINERS:
        return
    counted = _outside_strings(body, _NOT_COUNTED)
    commas = counted.count(b",")
    containers = len(counted) - commas
    if containers > MOST_CONTAINERS or containers + commas >= MOST_VALUES:
        text = f"{name} has more than {MOST_CONTAINERS} lists and objects, or {MOST_VALUES} values."
        raise TooLarge(Advised(text, "Upload large data as a file: PUT /datafile/<name>."))


def _outside_strings(body: bytes | bytearray, unwanted: bytes) -> bytes:
    """Return the bytes outside of strings, except the unwanted ones."""
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(bare.translate(None, unwanted).split(b'"')[::2])


def is_deeper(body: bytes | bytearray, depth: int) -> bool:
    """Whether brackets are nested deeper, without parsing: the parser would recurse."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return False
    brackets = _outside_strings(body, _NOT_STRUCTURE).translate(_TO_BRACKETS)
    for _ in range(depth):  # each round removes the innermost level
        brackets = brackets.replace(b"[]", b"")
    return b"[]" in brackets or brackets.count(b"[") > depth


class _Pairs(list[tuple[str, object]]):
    """An object that cannot be stored, as written."""


class _Number(str):
    """A number that cannot be stored, as written."""

    __slots__ = ()


def _is_plain(value: object) -> bool:
    """Whether text has no lone surrogates and top-level names no dots."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return not isinstance(value, dict) or "." not in "".join(value)


class _Reader:
    """Parses JSON, keeps what cannot be stored as written, and then locates it.

    Attributes
    ----------
    problems : list of Problem
        The first `MOST_PROBLEMS`, in the order of the text.
    """

    def __init__(self, stored: bool) -> None:
        self._name_problem = _key_problem if stored else _text_problem
        self._stored = stored
        self._found_invalid = False
        self._path: list[str | int] = []
        self.problems: list[Problem] = []

    def read(self, text: str) -> JsonValue:
        """Parse the text and collect its problems; the value is only usable without any."""
        value: JsonValue = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._invalid_number,
        ).decode(text)
        if self._found_invalid or not _is_plain(value):
            self._search(value)
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object] | _Pairs:
        value = dict(pairs)
        invalid = len(value) != len(pairs)
        for key in value if self._stored else ():
            invalid = invalid or not key or key[0] == "$" or "\0" in key
        if not invalid:
            return value
        self._found_invalid = True
        return _Pairs(pairs)

    def _integer(self, text: str) -> int | _Number:
        fits = len(text) <= _LONGEST_INT64 and int(text) in INT64
        return int(text) if fits else self._invalid_number(text)

    def _float(self, text: str) -> float | _Number:
        value = float(text)
        return value if math.isfinite(value) else self._invalid_number(text)

    def _invalid_number(self, text: str) -> _Number:
        self._found_invalid = True
        return _Number(text)

    def _search(self, value: object) -> None:
        if isinstance(value, dict | _Pairs):
            self._search_object(value.items() if isinstance(value, dict) else value)
        elif isinstance(value, list):
            self._path.append(0)
            for index, item in enumerate(value):
                if type(item) not in _ALWAYS_VALID:
                    self._path[-1] = index
                    self._search(item)
            self._path.pop()
        elif isinstance(value, _Number):
            self._note(_number_problem(value))
        elif isinstance(value, str):
            self._note(_text_problem(value))

    def _search_object(self, pairs: Iterable[tuple[str, object]]) -> None:
        seen = set()
        self._path.append("")
        for key, item in pairs:
            self._path[-1] = key
            twice = "appears twice; keep one of them"
            self._note(twice if key in seen else self._name_problem(key))
            if self._stored and len(self._path) == 1 and "." in key:
                self._note("contains a dot, which top-level names cannot; rename or nest it")
            seen.add(key)
            if type(item) not in _ALWAYS_VALID:
                self._search(item)
        self._path.pop()

    def _note(self, problem: str | None) -> None:
        if problem and len(self.problems) < MOST_PROBLEMS:
            where = ".".join(map(_printable, self._path)) or "the value"
            self.problems.append(Problem(where, problem))


def _key_problem(key: str) -> str | None:
    if not key:
        return "is an empty name; name it"
    if key[0] == "$":
        return "starts with $, which is reserved by the database; rename it"
    if "\0" in key:
        return "has a NUL character in its name; remove it"
    return _text_problem(key)


def _text_problem(text: str) -> str | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not a character; remove it"
    return None


def _number_problem(number: _Number) -> str:
    if number[-1].isalpha():
        return f"is {number}, which is not JSON; send null or a string"
    if number.lstrip("-").isdigit():
        return "is an integer beyond 64 bits; send it as a string"
    return "is too large for a floating-point number; send it as a string"


def _printable(key: str | int) -> str:
    """Return one step of a path in printable form."""
    text = str(key).encode("utf-8", "backslashreplace").decode().replace("\0", r"\0") or '""'
    return text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "..."
