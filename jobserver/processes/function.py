"""Processes run scripts in the child, beside the user's code. `Process` runs a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from jobserver.errors import Problem
from jobserver.processes.collecting import collect
from jobserver.processes.forms import Binding
from jobserver.processes.run_context import current_context
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry
    from jobserver.scripts.script import Script


class Origin(TypedDict):
    """What a script comes from.

    Attributes
    ----------
    script : dict
        ``type``, ``name``, ``module``, ``version``; or ``type`` and ``steps``, each like that.
    packages : dict
        Versions by name.
    """

    script: dict[str, Any]
    packages: dict[str, str]


class AnyProcess(Protocol):
    """What every kind of process offers."""

    def problems(self, has_data: bool) -> list[Problem]:
        """Return every reason why it cannot run with these parameters."""

    def run(self, data: dict[str, object] | None) -> Any:
        """Load the data, run the script and return its result."""

    def origin(self) -> Origin:
        """Return what is needed to repeat the run."""


#: Makes the process for a script that is part of another one.
MakeProcess = Callable[[dict[str, object]], AnyProcess]


class Process:
    """Runs a function of the script table; see `AnyProcess`.

    Parameters
    ----------
    registry : Registry
        The script table.
    script : dict
        The job's ``script``: ``name``, ``args``, ``kwargs``.
    """

    type = "function"

    def __init__(self, registry: Registry, script: Binding) -> None:
        self.script: Script = registry.lookup(script["name"])
        self.args: list[object] = script.get("args", [])
        self.kwargs: dict[str, object] = script.get("kwargs", {})

    def problems(self, has_data: bool) -> list[Problem]:
        """Return every reason why it cannot run with these parameters."""
        return self.script.problems(self.args, self.kwargs, has_data)

    def run(self, data: dict[str, object] | None) -> object:
        """Load the data, call the function, run it to its end and return its result."""
        loaded = {} if data is None else {"data": load(data, self.script.wants_path())}
        args, kwargs = self.script.bind(self.args, self.kwargs, **loaded)
        return collect(self.script.func(*args, **kwargs), current_context().collected)

    def origin(self) -> Origin:
        """Return the script's version and the packages it imports."""
        script = self.script
        name = {"type": self.type, "name": script.name, "module": script.module}
        return {"script": {**name, "version": script.version}, "packages": script.packages}
