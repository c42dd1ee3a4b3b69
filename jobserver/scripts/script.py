"""A script: a function that jobs call by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.scripts.arguments import MISSING, Call
from jobserver.scripts.signature import Signature
from jobserver.scripts.version import packages_of
from jobserver.scripts.wording import printable
from jobserver.system.protocol import Message

_NO_DATA: object = object()  # None is data: JSON has null


@dataclass(frozen=True)
class Script:
    """A function of the script table.

    Attributes
    ----------
    name : str
        Name for jobs to call it by; includes the module if the function's name is ambiguous.
    module : str
        Name of its module; for a file in the home, the file's stem.
    func : callable
        The function.
    version : str or None
        SHA-256 of the file that the function was loaded from; None without one.
    """

    name: str
    module: str
    func: Callable[..., Any]
    version: str | None = None

    @cached_property
    def signature(self) -> Signature:
        """The function's parameters; cached, as reading them takes milliseconds."""
        return Signature(self.func)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Version of each package that the function's module imports."""
        return packages_of(self.func)

    def describe(self) -> Message:
        """Return name, module, description and parameters as JSON-compatible values.

        Returns
        -------
        dict
            ``description`` is the first paragraph of the docstring, ``parameters`` a JSON Schema
            object whose property with ``x-data`` takes the bound data.
        """
        description, parameters = _read_docstring(self.func)
        return {
            "type": "function",
            "name": self.name,
            "module": self.module,
            "version": self.version,
            "description": description,
            "parameters": self.signature.json_schema(parameters),
        }

    def problems(
        self, args: Sequence[object], kwargs: Mapping[str, object], has_data: bool
    ) -> list[Problem]:
        """Return every reason why the script cannot be called like this.

        Parameters
        ----------
        args : list
            Arguments by position, after the data.
        kwargs : dict
            Arguments by name.
        has_data : bool
            Whether data is bound.
        """
        found = Call(self.signature, args, kwargs, has_data).problems
        if any(each.problem.startswith(MISSING) for each in found):
            return self._described(found)
        return found

    def _described(self, problems: Sequence[Problem]) -> list[Problem]:
        """Return the problems, with the descriptions of arguments that are missing."""
        found = []
        for each in problems:
            text = self._descriptions.get(each.field.removeprefix("kwargs."), "").rstrip(".")
            missing = f"{MISSING} ({text})" if text else MISSING
            found.append(Problem(each.field, each.problem.replace(MISSING, missing, 1)))
        return found

    @cached_property
    def _descriptions(self) -> dict[str, str]:
        """Description of each parameter by name; cached, as it is parsed."""
        return _read_docstring(self.func)[1]

    def bind(
        self, args: Sequence[object], kwargs: Mapping[str, object], data: object = _NO_DATA
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return the converted arguments for ``func(*args, **kwargs)``.

        Parameters
        ----------
        args : list
            Arguments by position, after the data.
        kwargs : dict
            Arguments by name.
        data : object
            The loaded data, or the `pathlib.Path` of its file if the script `wants_path`.

        Raises
        ------
        JobNotRunnable
            With every reason why the script cannot be called like this.
        """
        has_data = data is not _NO_DATA
        call = Call(self.signature, args, kwargs, has_data)
        leading = (call.data(data),) if has_data else ()
        if call.problems:
            raise JobNotRunnable(f"{self.name} cannot run with these parameters.", call.problems)
        return (*leading, *call.args), call.kwargs

    def wants_path(self) -> bool:
        """Whether it takes data as the path of its file: annotated `pathlib.Path` or `str`."""
        return bool(self.signature.path_types)


def _read_docstring(func: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of the docstring and the description of each parameter."""
    from docstring_parser import parse

    try:
        doc = parse(printable(inspect.getdoc(func) or ""))
    except Exception:  # the parser fails in many ways on text that resembles its styles
        return "", {}
    first = [doc.short_description or ""]
    if doc.long_description and not doc.blank_after_short_description:
        first.append(doc.long_description.partition("\n\n")[0])
    parameters = {
        name.strip(" *"): " ".join((each.description or "").split())
        for each in doc.params
        for name in each.arg_name.split(",")
    }
    return " ".join(" ".join(first).split()), parameters
