"""Type hints as rules for JSON values: check and convert them, and say so as JSON Schema."""

from __future__ import annotations

import types
from collections.abc import Collection, Iterable, Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import orjson
import typing_extensions
from pydantic import BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, to_json

from jobserver.errors import Problem
from jobserver.scripts.wording import without_paths

#: Most problems that are told of one value.
_MOST = 20
#: Most letters of a key that a field is named with.
_LONGEST_STEP = 60
_NUMBERS = (int, float)
_PATH_FORMATS = ["path", "file-path", "directory-path"]


class SchemaRule:
    """What a type hint asks of a value. One that pydantic cannot check accepts everything.

    Parameters
    ----------
    hint : Any
        A resolved type hint; `typing.Any` for none.

    Attributes
    ----------
    is_path : bool
        Whether the value is, or holds, the path of a file.
    """

    def __init__(self, hint: Any) -> None:
        self._adapter = _adapter(hint)
        self._own_schema = _own_schema(self._adapter)
        self.is_path = _holds_path(self._own_schema)

    def coerce(self, value: Any, field: str, problems: list[Problem]) -> Any:
        """The value as its type, such as ``5`` for ``"5"``; what is wrong joins the problems."""
        if self._adapter is None:
            return value
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            problems.extend(_problems(error, field, value))
        except Exception as error:  # a validator of the user's own may raise anything
            text = without_paths(f"{type(error).__name__}: {error}")
            problems.append(Problem(field, f"cannot be checked ({text})"))
        return value


def schemas(rules: Mapping[str, SchemaRule]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """JSON Schema of each rule, and the definitions that they share.

    Parameters
    ----------
    rules : mapping of str to SchemaRule
        The rules by the names of their parameters.

    Returns
    -------
    properties : dict
        A schema for each name; the empty one, which allows everything, where there is no rule.
    definitions : dict
        What the schemas refer to as ``#/$defs/<name>``.
    """
    adapters = {name: rule._adapter for name, rule in rules.items() if rule._own_schema}
    found, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items() if adapter]
    )
    properties = {name: found.get((name, "validation"), {}) for name in rules}
    plain = jsonable({"properties": properties, "shared": shared})
    return plain["properties"], plain["shared"].get("$defs", {})


def jsonable(value: Any) -> Any:
    """The value as strict JSON gives it back: without NaN, with integers of 64 bits.

    Raises
    ------
    ValueError
        If JSON cannot hold it.
    """
    return orjson.loads(to_json(value, inf_nan_mode="null"))


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    if hint is Any:
        return None
    try:
        return TypeAdapter(_strict_about_numbers(hint))
    except Exception:  # pydantic and the hint's own hooks raise all kinds; no rule, no check
        return None


def _own_schema(adapter: TypeAdapter[Any] | None) -> dict[str, Any]:
    if adapter is None:
        return {}
    try:
        schema = adapter.json_schema()
        jsonable(schema)
    except Exception:  # a type that has no JSON Schema, such as a callable
        return {}
    return schema


def _holds_path(schema: Any) -> bool:
    if isinstance(schema, dict):
        return any(map(_holds_path, schema.values())) or schema.get("format") in _PATH_FORMATS
    return isinstance(schema, list) and any(map(_holds_path, schema))


def _strict_about_numbers(hint: Any) -> Any:
    """The hint, with `true` and `false` refused as numbers; iterables become lists.

    Pydantic takes booleans as 0 and 1, and makes an iterable a generator that checks later.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if Iterable in (hint, origin):
        hint = origin = list
    if hint in _NUMBERS or (origin is Annotated and inner[0] in _NUMBERS):
        return Annotated[(*(inner or [hint]), BeforeValidator(_refuse_bool))]
    if origin is Annotated:
        return Annotated[(_strict_about_numbers(inner[0]), *inner[1:])]
    if origin in (Union, types.UnionType):
        return Union[tuple(map(_strict_about_numbers, inner))]  # noqa: UP007 - made at run time
    if inner and origin is not Literal and issubclass(origin, Collection):
        return origin[tuple(map(_strict_about_numbers, inner))]
    return _checkable(hint) if is_typeddict(hint) else hint


def _checkable(hint: Any) -> Any:
    """A TypedDict that pydantic takes: before Python 3.12 only those of typing_extensions."""
    fields = {}
    for name, field in get_type_hints(hint, include_extras=True).items():
        kind: Any = Required if name in hint.__required_keys__ else NotRequired
        marked = get_origin(field) in (Required, NotRequired)
        kind, inner = (get_origin(field), get_args(field)[0]) if marked else (kind, field)
        fields[name] = kind[_strict_about_numbers(inner)]
    return typing_extensions.TypedDict(hint.__name__, fields)  # type: ignore[operator]


def _refuse_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number, not true or false")
    return value


def _problems(error: ValidationError, field: str, value: Any) -> list[Problem]:
    """One problem for each place; what the members of a union say of it is put together."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    said: dict[str, list[str]] = {}
    for detail in details[:_MOST]:
        messages = said.setdefault(_place(detail, field, value), [])
        if detail["msg"] not in messages:
            messages.append(detail["msg"])
    problems = [Problem(place, "; or: ".join(messages)) for place, messages in said.items()]
    if len(details) > _MOST:
        problems.append(Problem(field, f"has {len(details) - _MOST} more problems"))
    return problems


def _place(detail: ErrorDetails, field: str, value: Any) -> str:
    """Where in the value; pydantic's steps also name members of unions: they are left out."""
    steps = detail["loc"]
    for step in steps:
        if isinstance(value, dict) and step in value:
            field, value = f"{field}.{str(step)[:_LONGEST_STEP]}", value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            field, value = f"{field}[{step}]", value[step]
    return f"{field}.{steps[-1]}" if detail["type"] == "missing" else field
