"""Processes: the units that run a script. They live in the child, beside the user's code.

`Process` runs a function; each further kind is a subclass with its own ``type``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobserver.errors import CannotRun, Problem
from jobserver.models.reading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry, Script

#: Stands for: no data is bound.
NOTHING: Any = object()


class Process:
    """Runs a function of the script table.

    Parameters
    ----------
    registry : Registry
        The script table.
    binding : dict
        The job's ``script``: ``name``, ``args``, ``kwargs``.
    """

    type = "function"

    def __init__(self, registry: Registry, binding: dict[str, Any]) -> None:
        self.script: Script = registry.lookup(binding["name"])
        self.args: list[Any] = binding.get("args", [])
        self.kwargs: dict[str, Any] = binding.get("kwargs", {})

    def problems(self, has_data: bool) -> list[Problem]:
        """Every reason why it cannot run with these parameters."""
        return self.script.check(self.args, self.kwargs, has_data)

    def run(self, data: dict[str, Any] | None) -> Any:
        """Load the data, call the script, give back what it returns."""
        loaded = {} if data is None else {"data": load(data, self.script.wants_path())}
        args, kwargs = self.script.bind(self.args, self.kwargs, **loaded)
        return self.script.func(*args, **kwargs)


#: The processes by type; `jobserver.models.kinds` adds those that are made of others.
PROCESSES: dict[str, type[Process]] = {process.type: process for process in (Process,)}


def make_process(registry: Registry, binding: dict[str, Any]) -> Process:
    """The process that a job's ``script`` asks for.

    Raises
    ------
    CannotRun
        If its type or its script is unknown.
    """
    kind = binding.get("type", Process.type)
    if not isinstance(kind, str) or kind not in PROCESSES:
        known = ", ".join(PROCESSES)
        raise CannotRun("The job cannot run.", [Problem("script.type", f"is none of: {known}")])
    return PROCESSES[kind](registry, binding)
