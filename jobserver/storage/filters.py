"""Rebuild the filter a client sends with ``POST /jobs`` into a safe MongoDB query.

The grammar, in JSON::

    filter     { condition, ... }                 all must match; {} matches every job
    condition  field: value                       equal to value
               field: { operator, ... }           all must match
               $and | $or | $nor: [ filter, ... ]                one filter or more
    operator   $eq | $ne: value
               $gt | $gte | $lt | $lte: scalar
               $in | $nin | $all: [ value, ... ]
               $exists: true or false             $size: length of a list
               $not: { operator, ... }            one operator or more
    field      a name, or names joined by dots: script_name, state, result.value.25%
    value      a scalar, list or object; no name in it starts with $
    scalar     text, a number, true, false or null

Ids and times can be written as in answers. In ``_id``, 24 hex digits are an ObjectId. In fields of
times, a time is ``2018-09-05 17:24:22.607225`` (UTC), ``2018-09-05`` (its first moment) or RFC 3339
with ``Z`` or an offset, cut to milliseconds as stored; ``"None"`` is null. Everything else compares
as in MongoDB.

The query is built from this grammar alone, so no other operator can get through.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import TypeGuard

from bson import ObjectId

from jobserver.errors import BadRequest, Problem

MAX_DEPTH = 5  # nested filters and $not, including the outermost filter
MAX_CLAUSES = 50  # comparisons; {} inside $and, $or or $nor counts as one
MAX_ITEMS = 100  # in the lists and objects of one comparison, including inner ones
MAX_NESTING = 32  # names and indices in the path of a value
MAX_PATH = 256  # characters of a field
MAX_PROBLEMS = 100  # reported at once

_JUNCTIONS, _TIMES = ("$and", "$or", "$nor"), ("created", "started", "finished", "edited")
_INNER_TIMES = ("attempts.started", "attempts.finished", "steps.started")
_TIME = re.compile(r"(?ai)\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?")
# JSON can escape a lone surrogate, but neither BSON nor an answer can contain one.
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NAME = re.compile(r"[^$\0\ud800-\udfff][^\0\ud800-\udfff]*")
_NAME_RULE = "must not be empty, start with $, or contain NUL or broken characters"
_TIME_RULE = "must be null or a time, such as 2018-09-05 17:24:22.607 (UTC) or 2018-09-05T17:24:22Z"
_REJECTED = "This filter cannot be used. Correct each field listed in errors."

_Rule = Callable[[object], object]


_ANY_VALUES: Mapping[str, Collection[str]] = {}


def compile_filter(
    body: Mapping[str, object],
    hidden: Collection[str] = ("_run",),
    choices: Mapping[str, Collection[str]] = _ANY_VALUES,
) -> dict[str, object]:
    """Rebuild a client's filter into a MongoDB query.

    Parameters
    ----------
    body : mapping
        The filter as read from JSON.
    hidden : collection of str
        Top-level fields of the server that cannot be filtered by.
    choices : mapping of str to collection of str
        The only values of some fields.

    Returns
    -------
    dict
        The query, which shares no list or object with `body`.

    Raises
    ------
    BadRequest
        If it violates the grammar or a limit. ``errors`` lists up to `MAX_PROBLEMS` problems.
    """
    if not isinstance(body, Mapping):
        raise BadRequest('A filter must be an object, such as {"state": "failed"}.')
    compiler = _Compiler(hidden, choices)
    query = compiler.each_name(compiler.condition, body)
    if compiler.problems:
        raise BadRequest(_REJECTED, compiler.problems)
    return query


def is_field(name: str) -> bool:
    """Whether a text can name a field, maybe a nested one."""
    return len(name) <= MAX_PATH and all(map(_NAME.fullmatch, name.split(".")))


def _scalar(value: object) -> object:
    if not (
        value is None
        or (isinstance(value, str) and not _SURROGATE.search(value))
        or (isinstance(value, int) and -(2**63) <= value < 2**63)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        raise ValueError("must be text, a finite number (integers of 64 bits), true, false or null")
    return value


def _id(value: object) -> object:
    if isinstance(value, str) and re.fullmatch("[0-9a-fA-F]{24}", value):
        return ObjectId(value)
    return _scalar(value)


def _time(value: object) -> datetime | None:
    """Return a time in any documented format as naive UTC, cut to milliseconds."""
    if value is None or value == "None":
        return None
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError(_TIME_RULE)
        time = datetime.fromisoformat(value.upper())
        if time.tzinfo:
            time = time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise ValueError(_TIME_RULE) from error
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def _flag(operand: object) -> bool:
    if not isinstance(operand, bool):
        raise ValueError("must be true or false")
    return operand


def _size(operand: object) -> int:
    if type(operand) is not int or not 0 <= operand < 2**31:
        raise ValueError("must be a whole number from 0 to 2147483647")
    return operand


def _choice(known: Collection[str]) -> _Rule:
    def read(value: object) -> object:
        if value not in known:
            raise ValueError(f"must be one of: {', '.join(known)}")
        return value

    return read


_READERS: dict[str, _Rule] = {
    "_id": _id,
    "_owner": _id,
    **dict.fromkeys(_TIMES + _INNER_TIMES, _time),
}


def _has_operator(operand: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(operand, Mapping) and any(name.startswith("$") for name in operand)


class _Compiler:
    """Rebuilds one filter. Each rule rebuilds one part; its ValueError says what is wrong."""

    def __init__(self, hidden: Collection[str], choices: Mapping[str, Collection[str]]) -> None:
        self.hidden = hidden
        self.readers = _READERS | {name: _choice(known) for name, known in choices.items()}
        self.problems: list[Problem] = []
        self.path: list[str] = []
        self.read: _Rule = _scalar
        self.clauses = self.items = 0
        self.operators: dict[str, _Rule] = {
            **dict.fromkeys(("$eq", "$ne"), self.value),
            **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), self.scalar),
            **dict.fromkeys(("$in", "$nin", "$all"), self.values),
            **{"$exists": _flag, "$size": _size, "$not": self.negation},
        }

    def each_name(self, rule: _Rule, parts: Mapping[str, object]) -> dict[str, object]:
        return {name: self.part(rule, part, name) for name, part in parts.items()}

    def each_item(self, rule: _Rule, parts: list[object]) -> list[object]:
        return [self.part(rule, part, str(index)) for index, part in enumerate(parts)]

    def part(self, rule: _Rule, part: object, step: str) -> object:
        self.path.append(step)
        try:
            return rule(part)
        except ValueError as problem:
            dotted = ".".join(name[:MAX_PATH] for name in self.path)
            field = dotted.encode(errors="backslashreplace").decode()
            self.problems.append(Problem(field, str(problem)))
            if self.clauses > MAX_CLAUSES or len(self.problems) == MAX_PROBLEMS:
                raise BadRequest(_REJECTED, self.problems) from problem
            return None
        finally:
            self.path.pop()

    def inner_filter(self, body: object) -> object:
        if not isinstance(body, Mapping):
            raise ValueError('must be an object of conditions, such as {"state": "failed"}')
        if not body:
            self.count_clause()
        return self.each_name(self.condition, body)

    def condition(self, operand: object) -> object:
        field = self.path[-1]
        if field.startswith("$"):
            return self.junction(operand)
        if not is_field(field):
            raise ValueError(
                f"is not a field of at most {MAX_PATH} characters; a name {_NAME_RULE}"
            )
        if field.partition(".")[0] in self.hidden:
            raise ValueError("belongs to the server; filter by another field")
        self.read = self.readers.get(field, _scalar)
        if _has_operator(operand):
            return self.each_name(self.operator, operand)
        self.count_clause()
        return self.value(operand)

    def junction(self, operand: object) -> object:
        if self.path[-1] not in _JUNCTIONS:
            raise ValueError(f"is not allowed here; use a field, {', '.join(_JUNCTIONS)}")
        if not isinstance(operand, list) or not operand:
            raise ValueError("must be a list of one or more filters")
        self.check_depth()
        return self.each_item(self.inner_filter, operand)

    def operator(self, operand: object) -> object:
        name = self.path[-1]
        if not name.startswith("$"):
            raise ValueError("is a plain name beside operators; use one kind or the other")
        if name not in self.operators:
            raise ValueError(f"is not allowed here; use {', '.join(self.operators)}")
        if name != "$not":
            self.count_clause()
        return self.operators[name](operand)

    def negation(self, operand: object) -> object:
        if not _has_operator(operand):
            raise ValueError('must be an object of operators, such as {"$gt": 1}')
        self.check_depth()
        return self.each_name(self.operator, operand)

    def check_depth(self) -> None:
        if sum(name.startswith("$") for name in self.path) == MAX_DEPTH:
            raise ValueError(f"is nested too deep; at most {MAX_DEPTH} levels are allowed")

    def count_clause(self) -> None:
        self.clauses, self.items = self.clauses + 1, 0
        if self.clauses > MAX_CLAUSES:
            raise ValueError(f"is one comparison too many; at most {MAX_CLAUSES} are allowed")

    def scalar(self, operand: object) -> object:
        return self.read(operand)

    def value(self, operand: object) -> object:
        if not isinstance(operand, list | Mapping):
            return self.read(operand)
        self.items += len(operand)
        if self.items > MAX_ITEMS or len(self.path) > MAX_NESTING:
            raise ValueError(f"is too large: at most {MAX_ITEMS} items, {MAX_NESTING} levels deep")
        if isinstance(operand, list):
            return self.each_item(self.value, operand)
        return self.each_name(self.entry, operand)

    def entry(self, operand: object) -> object:
        if not _NAME.fullmatch(self.path[-1]):
            raise ValueError(_NAME_RULE)
        return self.value(operand)

    def values(self, operand: object) -> object:
        if not isinstance(operand, list):
            raise ValueError('must be a list of values, such as ["failed", "cancelled"]')
        return self.value(operand)
