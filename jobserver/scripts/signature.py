"""The parameters of a function, with a rule for each."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable, Mapping
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from jobserver.scripts.schema import SchemaRule, jsonable, schemas
from jobserver.system.protocol import Message

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """The parameters of a script.

    Parameters
    ----------
    func : callable
        The script's function.

    Attributes
    ----------
    parameters : dict of str to inspect.Parameter
        All but ``*args`` and ``**kwargs``, in order.
    rules : dict of str to SchemaRule
        The rule of each.
    named : list of str
        Those that can be passed by name.
    positional : list of inspect.Parameter
        Those that can be passed by position.
    data : inspect.Parameter or None
        The first of them, which takes the bound data.
    path_types : set of type
        `pathlib.Path`, `str` or both if the function takes the data as the path of its file.
    more_args, more_kwargs : SchemaRule or None
        The rule of each value in ``*args`` and ``**kwargs``, if the function has them.
    """

    def __init__(self, func: Callable[..., object]) -> None:
        every = parameters_of(func)
        # Path is often imported only under TYPE_CHECKING.
        names = {"Path": pathlib.Path, "pathlib": pathlib, **_globals(func)}
        hints = {name: _hint(each, names) for name, each in every.items()}
        rules = {name: SchemaRule(hint) for name, hint in hints.items()}
        self.more_args: SchemaRule | None = None
        self.more_kwargs: SchemaRule | None = None
        for name, each in every.items():
            if each.kind is each.VAR_POSITIONAL:
                self.more_args = rules.pop(name)
            elif each.kind is each.VAR_KEYWORD:
                self.more_kwargs = rules.pop(name)
        self.rules = rules
        self.parameters = {name: every[name] for name in rules}
        self.named = [name for name in rules if every[name].kind is not _POSITIONAL[0]]
        self.positional = [each for each in self.parameters.values() if each.kind in _POSITIONAL]
        self.data = self.positional[0] if self.positional else None
        self.path_types = _path_types(hints[self.data.name]) if self.data else set()

    def json_schema(self, descriptions: Mapping[str, str]) -> Message:
        """Return a JSON Schema object; the property with ``x-data`` takes the bound data.

        Parameters
        ----------
        descriptions : mapping of str to str
            Descriptions of parameters, by name.
        """
        properties, definitions = schemas(self.rules)
        for name, parameter in self.parameters.items():
            properties[name] |= _default(parameter, self.rules[name])
            if name in descriptions:
                properties[name]["description"] = descriptions[name]
        if self.data:
            properties[self.data.name]["x-data"] = True
        schema = {
            "type": "object",
            "properties": properties,
            "required": [name for name, each in self.parameters.items() if is_required(each)],
            "additionalProperties": self.more_kwargs is not None,
        }
        return schema | ({"$defs": definitions} if definitions else {})


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether the parameter has no default."""
    return parameter.default is inspect.Parameter.empty


def parameters_of(func: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function, or of the one it wraps.

    Raises
    ------
    TypeError, ValueError
        If it has no signature.
    """
    try:
        return inspect.signature(func).parameters
    except (TypeError, ValueError):  # it wraps a C function without a signature
        return inspect.signature(func, follow_wrapped=False).parameters


def _globals(func: Callable[..., object]) -> dict[str, object]:
    return getattr(inspect.unwrap(func), "__globals__", {})


def _hint(parameter: inspect.Parameter, names: dict[str, object]) -> object:
    """Return the resolved annotation; Any if there is none or it cannot be resolved."""
    if parameter.annotation is inspect.Parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": parameter.annotation})
    try:
        hint = get_type_hints(holder, names, include_extras=True)["it"]
        return hint | None if parameter.default is None else hint
    except Exception:  # it runs user code, and may need names that only type checkers see
        return Any


def _path_types(hint: Any) -> set[type]:
    if get_origin(hint) is Annotated:
        return _path_types(get_args(hint)[0])
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    wanted = [member for member in members if member is not NoneType]
    return set(wanted) if all(member in (pathlib.Path, str) for member in wanted) else set()


def _default(parameter: inspect.Parameter, rule: SchemaRule) -> dict[str, object]:
    if is_required(parameter) or rule.is_path or isinstance(parameter.default, pathlib.PurePath):
        return {}  # paths of the server are not shown
    try:
        return {"default": jsonable(parameter.default)}
    except ValueError:  # the docstring has to describe a default that JSON cannot represent
        return {}
