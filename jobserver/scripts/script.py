"""One script: a function that jobs call by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.scripts.arguments import Call
from jobserver.scripts.signature import Signature
from jobserver.scripts.version import packages_of
from jobserver.scripts.wording import printable

#: Stands for: no data is bound. None is data, since JSON has null.
MISSING: Any = object()


@dataclass(frozen=True)
class Script:
    """A function of the script table.

    Attributes
    ----------
    name : str
        What jobs call it by; it holds the module where the function's name alone is ambiguous.
    module : str
        Name of its module; for a file in the home, the file's stem.
    func : callable
        The function.
    version : str or None
        SHA-256 of the file that the function was loaded from; None if there is none.
    """

    name: str
    module: str
    func: Callable[..., Any]
    version: str | None = None

    @cached_property
    def signature(self) -> Signature:
        """What the function takes; made once, since it takes milliseconds."""
        return Signature(self.func)

    @cached_property
    def packages(self) -> dict[str, str]:
        """Version of each package that the function's module imports, by the name it imports."""
        return packages_of(self.func)

    def describe(self) -> dict[str, Any]:
        """Name, module, description and parameters, fit for JSON.

        Returns
        -------
        dict
            ``description`` is the first paragraph of the docstring, ``parameters`` a JSON Schema
            object. The property with ``x-data`` is the one that bound data fills.
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

    def check(self, args: list[Any], kwargs: dict[str, Any], has_data: bool) -> list[Problem]:
        """Every reason why the script cannot be called like this; none when it can.

        Parameters
        ----------
        args : list
            Arguments by position, after the data.
        kwargs : dict
            Arguments by name.
        has_data : bool
            Whether data is bound.
        """
        return Call(self.signature, args, kwargs, has_data).problems

    def bind(
        self, args: list[Any], kwargs: dict[str, Any], data: Any = MISSING
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What to call the function with: ``func(*args, **kwargs)``, values converted.

        Parameters
        ----------
        args : list
            Arguments by position, after the data.
        kwargs : dict
            Arguments by name.
        data : Any
            The loaded data, or the `pathlib.Path` of its file if the script `wants_path`.

        Raises
        ------
        JobNotRunnable
            With every reason.
        """
        has_data = data is not MISSING
        call = Call(self.signature, args, kwargs, has_data)
        leading = (call.data(data),) if has_data else ()
        if call.problems:
            raise JobNotRunnable(f"{self.name} cannot run with these parameters.", call.problems)
        return (*leading, *call.args), call.kwargs

    def wants_path(self) -> bool:
        """Whether data is wanted as the path of its file: annotated `pathlib.Path` or `str`."""
        return bool(self.signature.path_types)


def _read_docstring(func: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The first paragraph of the docstring, and the description of each parameter."""
    from docstring_parser import parse

    try:
        doc = parse(printable(inspect.getdoc(func) or ""))
    except Exception:  # the parser fails in many ways on what only looks like its styles
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
