"""Bind the arguments of a job to the parameters of a script, and collect every problem."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from jobserver.errors import Problem, similar_names
from jobserver.scripts.schema import SchemaRule
from jobserver.scripts.signature import Signature, is_required
from jobserver.scripts.wording import shortened

#: How problems with the name of an argument begin, not with its value.
NAME_PROBLEMS = ("is unknown", "is given twice")
#: How the problem with an argument begins that is required.
MISSING = "is missing"
#: Text that names a file outside the run's folder.
_LOOKS_LIKE_PATH = re.compile(r"\s*([/\\~]|[a-z]:[/\\]|file:|(.*[/\\])?\.\.([/\\]|$))", re.I)
_LONGEST_NAME = 60
#: Problems after which no more arguments are checked.
_MOST_PROBLEMS = 100


class Call:
    """A call of a script with a job's arguments, checked and converted.

    Parameters
    ----------
    signature : Signature
        The script's parameters.
    args : list
        Arguments by position, without the data.
    kwargs : dict
        Arguments by name.
    has_data : bool
        Whether data is bound, which comes before the arguments.

    Attributes
    ----------
    args : list
        The converted arguments by position.
    kwargs : dict
        The converted arguments by name.
    problems : list of Problem
        Every problem; the script can be called if there are none.
    """

    def __init__(
        self,
        signature: Signature,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        has_data: bool,
    ) -> None:
        self.args: list[object] = []
        self.kwargs: dict[str, object] = {}
        self.problems: list[Problem] = []
        self._signature = signature
        self._has_data = has_data
        self._filled: set[str] = set()
        if has_data:
            self._bind_data()
        self._bind_args(args)
        self._bind_kwargs(kwargs)
        self._find_missing()

    def data(self, value: object) -> object:
        """Return the bound data as the script takes it, adding to `problems` if it cannot.

        Parameters
        ----------
        value : object
            The loaded data, or the path of its file.
        """
        if isinstance(value, PurePath):
            return str(value) if self._signature.path_types == {str} else value
        if parameter := self._signature.data:
            self._rejects_path(self._signature.rules[parameter.name], value, "data", is_data=True)
        return value

    def _bind_data(self) -> None:
        if self._signature.data:
            self._filled.add(self._signature.data.name)
        elif self._signature.more_args is None:
            self._add("data", "is bound, but the script takes none: remove it from the job")

    def _bind_args(self, args: Sequence[object]) -> None:
        if not isinstance(args, list):
            self._add("args", "must be a list")
            return
        slots = self._signature.positional[self._has_data :]
        for index, (value, slot) in enumerate(zip(args, slots, strict=False)):
            self._filled.add(slot.name)
            self.args.append(self._coerce_named(slot.name, value, f"args[{index}]"))
        self._bind_more_args(args, len(slots))

    def _bind_more_args(self, args: Sequence[object], taken: int) -> None:
        for index, value in enumerate(args[taken:], taken):
            if self._signature.more_args is None:
                besides = " besides the data" if self._has_data else ""
                extra = len(args) - taken
                count = "one" if extra == 1 else f"the first of {extra}"
                text = f"is {count} too many: the script takes {taken}{besides}"
                self._add(f"args[{index}]", text)
                break
            if len(self.problems) < _MOST_PROBLEMS:
                field = f"args[{index}]"
                self.args.append(self._coerce(self._signature.more_args, value, field))

    def _bind_kwargs(self, kwargs: Mapping[str, object]) -> None:
        if not isinstance(kwargs, dict):
            self._add("kwargs", "must be an object")
            return
        for name, value in kwargs.items():
            if len(self.problems) < _MOST_PROBLEMS:
                self._bind_kwarg(name, value)

    def _bind_kwarg(self, name: str, value: object) -> None:
        plain = name.isidentifier() and len(name) <= _LONGEST_NAME
        field = f"kwargs.{name if plain else shortened(name)}"
        if name in self._signature.named and name in self._filled:
            self._add(field, "is given twice: by name, and by position or as the data")
        elif name in self._signature.named:
            self._filled.add(name)
            self.kwargs[name] = self._coerce_named(name, value, field)
        elif self._signature.more_kwargs:
            self.kwargs[name] = self._coerce(self._signature.more_kwargs, value, field)
        else:
            self._add(field, f"is unknown: {self._known_names(name)}")

    def _known_names(self, name: str) -> str:
        names = self._signature.named
        if close := similar_names(name, names):
            return f"did you mean {close}?"
        return f"the script takes {', '.join(names)}" if names else "the script takes no kwargs"

    def _find_missing(self) -> None:
        for name, parameter in self._signature.parameters.items():
            if not is_required(parameter) or name in self._filled:
                continue
            if parameter is self._signature.data:
                self._add("data", f"is missing: {self._how_to_bind(parameter)}")
            elif name in self._signature.named:
                self._add(f"kwargs.{name}", f"{MISSING}: {self._how_to_name()}")
            else:
                index = self._signature.positional.index(parameter) - self._has_data
                self._add(f"args[{index}]", "is missing")

    def _how_to_name(self) -> str:
        """Return how to pass everything that is missing by name."""
        missing = [
            name
            for name, parameter in self._signature.parameters.items()
            if is_required(parameter)
            and name in self._signature.named
            and name not in self._filled
            and parameter is not self._signature.data
        ]
        shown = ", ".join(f'"{name}": ...' for name in missing)
        return f'set "kwargs": {{{shown}}} in "script"'

    def _how_to_bind(self, parameter: inspect.Parameter) -> str:
        if self._signature.rules[parameter.name].is_path:
            return "bind a datafile, which the script reads by its path"
        other = f"kwargs.{parameter.name}" if parameter.name in self._signature.named else "args[0]"
        return f"bind data (datafile, raw_data or data), or pass it as {other}"

    def _coerce_named(self, name: str, value: object, field: str) -> object:
        is_data = self._signature.data is not None and name == self._signature.data.name
        return self._coerce(self._signature.rules[name], value, field, is_data=is_data)

    def _coerce(
        self, rule: SchemaRule, value: object, field: str, *, is_data: bool = False
    ) -> object:
        if self._rejects_path(rule, value, field, is_data=is_data):
            return value
        return rule.coerce(value, field, self.problems)

    def _rejects_path(self, rule: SchemaRule, value: object, field: str, *, is_data: bool) -> bool:
        """Add a problem if a client names the file that a script opens: only the server may."""
        if rule.is_path and value is not None:
            self._add(field, "takes a file: bind a datafile")
        elif is_data and self._signature.path_types and _names_file(value):
            self._add(field, "looks like a path on the server: bind a datafile instead")
        else:
            return False
        return True

    def _add(self, field: str, problem: str) -> None:
        self.problems.append(Problem(field, problem))


def _names_file(value: object) -> bool:
    return isinstance(value, str) and _LOOKS_LIKE_PATH.match(value) is not None
