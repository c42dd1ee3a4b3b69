"""Check and convert JSON values by type hints, and describe these as JSON Schema."""

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
from pydantic_core import PydanticCustomError, to_json

from jobserver.errors import Problem
from jobserver.scripts.wording import problems_of, without_paths

_NUMBERS = (int, float)
_PATH_FORMATS = ["path", "file-path", "directory-path"]


class SchemaRule:
    """Checks values against a type hint. A hint that pydantic cannot check accepts everything.

    Parameters
    ----------
    hint : object
        A resolved type hint; `typing.Any` for none.

    Attributes
    ----------
    is_path : bool
        Whether the value is or contains the path of a file.
    """

    def __init__(self, hint: object) -> None:
        self._adapter = _adapter(hint)
        self._own_schema = _own_schema(self._adapter)
        self.is_path = _holds_path(self._own_schema)

    def coerce(self, value: object, field: str, problems: list[Problem]) -> object:
        """Return the value as its type, such as ``5`` for ``"5"``, and add to the problems."""
        if self._adapter is None:
            return value
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            problems.extend(problems_of(error, value, field))
        except Exception as error:  # a user's validator may raise anything
            text = without_paths(f"{type(error).__name__}: {error}")
            problems.append(Problem(field, f"cannot be checked ({text})"))
        return value


def schemas(
    rules: Mapping[str, SchemaRule],
) -> tuple[dict[str, dict[str, object]], dict[str, object]]:
    """Return the JSON Schema of each rule, and their shared definitions.

    Parameters
    ----------
    rules : mapping of str to SchemaRule
        The rules by the names of their parameters.

    Returns
    -------
    properties : dict
        A schema for each name; empty, which allows everything, without a rule.
    definitions : dict
        The targets of ``#/$defs/<name>``.
    """
    adapters = {name: rule._adapter for name, rule in rules.items() if rule._own_schema}
    found, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items() if adapter]
    )
    properties = {name: found.get((name, "validation"), {}) for name in rules}
    plain = jsonable({"properties": properties, "shared": shared})
    return plain["properties"], plain["shared"].get("$defs", {})


def jsonable(value: Any) -> Any:
    """Return the value as strict JSON: null for NaN, integers of 64 bits.

    Raises
    ------
    ValueError
        If JSON cannot represent it.
    """
    return orjson.loads(to_json(value, inf_nan_mode="null"))


def _adapter(hint: object) -> TypeAdapter[object] | None:
    if hint is Any:
        return None
    try:
        return TypeAdapter(_strict_about_numbers(hint))
    except Exception:  # pydantic and the hint's own hooks may raise anything
        return None


def _own_schema(adapter: TypeAdapter[object] | None) -> dict[str, object]:
    if adapter is None:
        return {}
    try:
        schema = adapter.json_schema()
        jsonable(schema)
    except Exception:  # a type without a JSON Schema, such as a callable
        return {}
    return schema


def _holds_path(schema: object) -> bool:
    if isinstance(schema, dict):
        return any(map(_holds_path, schema.values())) or schema.get("format") in _PATH_FORMATS
    return isinstance(schema, list) and any(map(_holds_path, schema))


def _strict_about_numbers(hint: Any) -> Any:
    """Return the hint with booleans rejected as numbers, and iterables as lists.

    Pydantic accepts booleans as 0 and 1, and makes an iterable a generator that is checked late.
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
    return _typed_dict(hint) if is_typeddict(hint) else hint


def _typed_dict(hint: Any) -> Any:
    """Return a TypedDict that pydantic accepts: before Python 3.12 only typing_extensions'."""
    fields = {}
    for name, field in get_type_hints(hint, include_extras=True).items():
        kind: Any = Required if name in hint.__required_keys__ else NotRequired
        marked = get_origin(field) in (Required, NotRequired)
        kind, inner = (get_origin(field), get_args(field)[0]) if marked else (kind, field)
        fields[name] = kind[_strict_about_numbers(inner)]
    return typing_extensions.TypedDict(hint.__name__, fields)  # type: ignore[operator]


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "must be a number")
    return value
