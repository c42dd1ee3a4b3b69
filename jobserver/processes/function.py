"""Processes: the units that run a script. They live in the child, beside the user's code.

`Process` runs a function; the further kinds have the same interface, and a ``type`` of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.code import CodeProcess
from jobserver.processes.executable import Executable
from jobserver.tables.loading import load

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

    def origin(self) -> dict[str, Any]:
        """What its outcome depends on, so that it can be repeated.

        Returns
        -------
        dict
            ``script`` (``type``, ``name``, ``module``, ``version``; what is made of others has
            theirs as ``steps``) and ``packages`` (their versions, by name).
        """
        script = self.script
        told = {"type": self.type, "name": script.name, "module": script.module}
        return {"script": {**told, "version": script.version}, "packages": script.packages}


class AnyProcess(Protocol):
    """What every kind of process can do; see `Process`."""

    def problems(self, has_data: bool) -> list[Problem]:
        """Every reason why it cannot run with these parameters."""

    def run(self, data: dict[str, Any] | None) -> Any:
        """Carry it out, and give back its result."""

    def origin(self) -> dict[str, Any]:
        """What its outcome depends on."""


PROCESSES: dict[str, Callable[[Registry, dict[str, Any]], AnyProcess]] = {
    Process.type: Process,
    Executable.type: Executable,
    CodeProcess.type: CodeProcess,
}


def make_process(registry: Registry, binding: dict[str, Any]) -> AnyProcess:
    """The process that a job's ``script`` asks for.

    Raises
    ------
    JobNotRunnable
        If its type or its script is unknown.
    """
    kind = binding.get("type", Process.type)
    if not isinstance(kind, str) or kind not in PROCESSES:
        known = ", ".join(PROCESSES)
        raise JobNotRunnable(
            "The job cannot run.", [Problem("script.type", f"is none of: {known}")]
        )
    return PROCESSES[kind](registry, binding)
