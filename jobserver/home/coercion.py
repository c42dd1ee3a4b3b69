"""Convert the values of settings to their types, and check their limits."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import Field
from typing import Any

from jobserver.errors import SettingsError


def coerce(entry: Field[object], kind: Any, value: Any) -> Any:
    """Return the value of a setting in its type.

    Parameters
    ----------
    entry : Field
        The setting, as the table declares it.
    kind : type
        Type of the setting.
    value : object
        Value from ``config.py``, the environment or an option.

    Raises
    ------
    SettingsError
        If the value has another type or is out of range; secrets are not repeated.
    """
    shown = "a secret" if entry.metadata["secret"] else repr(value)
    try:
        result = _READERS[kind](value)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{entry.name} is {shown}, but must be {_NAMES[kind]}.") from error
    choices, minimum = entry.metadata["choices"], entry.metadata["minimum"]
    if choices and result not in choices:
        raise SettingsError(f"{entry.name} is {shown}, but must be one of: {', '.join(choices)}.")
    if kind in (int, float) and not result >= minimum:
        raise SettingsError(f"{entry.name} is {shown}, but must be at least {minimum}.")
    return result


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    try:
        return words[str(value).strip().lower()]
    except KeyError as error:
        raise ValueError(value) from error


def _text(value: object) -> str:
    if not isinstance(value, str | os.PathLike) or value == "":
        raise ValueError(value)
    return os.fspath(value)


def _optional_text(value: object) -> str | None:
    return None if value is None or value == "" else _text(value)


def _number(kind: type[int] | type[float]) -> Callable[[object], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError(value)
        return kind(value)

    return read


def _texts(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(_text(part).strip() for part in parts if part)


_READERS: dict[Any, Callable[[object], object]] = {
    bool: _boolean,
    str: _text,
    str | None: _optional_text,
    int: _number(int),
    float: _number(float),
    tuple[str, ...]: _texts,
}
_NAMES = {
    bool: "true or false",
    str: "text",
    str | None: "text or None",
    int: "a whole number",
    float: "a number",
    tuple[str, ...]: "a list of strings",
}
