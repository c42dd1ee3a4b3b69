"""Scripts made of other scripts: the steps of a pipeline and the script of a map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobserver.errors import Problem
from jobserver.processes.over import over_problems

#: Type of a script that contains code.
CODE = "eval"
MOST_STEPS = 10_000
#: Levels of nested pipelines and maps.
MAX_DEPTH = 8
#: Problems after which no more parts are checked.
MOST_PROBLEMS = 100

Binding = dict[str, Any]


def as_script(step: str | Binding) -> Binding:
    """Return a step as a script; a step may be just a name."""
    return {"name": step} if isinstance(step, str) else step


def label(script: Binding) -> str:
    """Return the name of a step for messages: its script's name, or its type."""
    name, kind = script.get("name"), script.get("type", "function")
    if kind == "function":
        return str(name)
    return f"{kind} of {name}" if name else str(kind)


def target(script: Binding) -> Binding:
    """Return the script that a map runs for each item."""
    given: Binding | None = script.get("script")
    if given is not None:
        return given
    return {name: script[name] for name in ("name", "module", "args", "kwargs") if name in script}


def parts(script: Binding, field: str) -> Iterator[tuple[str, object]]:
    """Yield the scripts that a script consists of, each with its field."""
    steps = script.get("steps")
    if script.get("type") == "pipeline" and isinstance(steps, list):
        for index, step in enumerate(steps):
            yield f"{field}.steps[{index}]", as_script(step)
    if script.get("type") == "map" and "script" in script:
        yield f"{field}.script", script["script"]


def every_script(script: Binding, field: str = "script") -> Iterator[tuple[str, Binding]]:
    """Yield a script and, recursively, its parts, each with its field."""
    yield field, script
    for part_field, part in parts(script, field):
        if isinstance(part, dict):
            yield from every_script(part, part_field)


def function_names(script: Binding) -> list[str]:
    """Return the names of all functions that a script calls, directly or in its parts."""
    return [
        str(part["name"])
        for _, part in every_script(script)
        if "name" in part and part.get("type", "function") in ("function", "map")
    ]


def own_problems(script: Binding, field: str, depth: int) -> Iterator[Problem]:
    """Yield what is wrong with a pipeline or map itself; its parts are checked separately.

    Parameters
    ----------
    field : str
        Its field in the job.
    depth : int
        Number of pipelines and maps around it.
    """
    kind = script.get("type")
    if kind in ("pipeline", "map") and depth >= MAX_DEPTH:
        yield Problem(field, f"is nested too deep: at most {MAX_DEPTH} pipelines and maps")
    elif kind == "pipeline" and isinstance(script.get("steps"), list):
        yield from _steps_problems(script["steps"], f"{field}.steps")
    elif kind == "map":
        yield from _map_problems(script, field)
        yield from over_problems(script["over"], f"{field}.over") if "over" in script else ()


def _steps_problems(steps: list[object], field: str) -> Iterator[Problem]:
    if not 0 < len(steps) <= MOST_STEPS:
        yield Problem(field, f"must have 1 to {MOST_STEPS} steps, not {len(steps)}")


def _map_problems(script: Binding, field: str) -> Iterator[Problem]:
    if "script" not in script:
        if "name" not in script:
            yield Problem(f"{field}.name", "is missing: name the script to run for each item")
        return
    for name in ("name", "module", "args", "kwargs"):
        if script.get(name):
            yield Problem(f"{field}.{name}", "must not stand beside script: move it into script")


def holds_code(script: object) -> bool:
    """Whether a job's ``script``, or one of its parts, contains code."""
    if isinstance(script, dict):
        return script.get("type") == CODE or any(map(holds_code, script.values()))
    return isinstance(script, list) and any(map(holds_code, script))
