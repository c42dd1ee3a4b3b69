"""The kinds of processes by the ``type`` of a job's ``script``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.code import CodeProcess
from jobserver.processes.executable import Executable
from jobserver.processes.function import AnyProcess, Process
from jobserver.processes.maps.map import Map
from jobserver.processes.pipeline import Pipeline

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

PROCESSES: dict[str, Callable[[Registry, dict[str, object]], AnyProcess]] = {
    Process.type: Process,
    Executable.type: Executable,
    CodeProcess.type: CodeProcess,
    Pipeline.type: lambda registry, script: Pipeline(partial(make_process, registry), script),
    Map.type: lambda registry, script: Map(partial(make_process, registry), script),
}


def make_process(registry: Registry, script: dict[str, object]) -> AnyProcess:
    """Return the process for a job's ``script``.

    Raises
    ------
    JobNotRunnable
        If its type or its script is unknown.
    """
    kind = script.get("type", Process.type)
    if not isinstance(kind, str) or kind not in PROCESSES:
        problem = Problem("script.type", f"must be one of: {', '.join(PROCESSES)}")
        raise JobNotRunnable("The job cannot run.", [problem])
    return PROCESSES[kind](registry, script)
