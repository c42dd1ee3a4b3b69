"""Scripts made of scripts, by their form: the steps of a pipeline, and what a map runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobserver.errors import Problem
from jobserver.processes.over import form_problems

#: The type of a script that carries code.
CODE = "eval"
MOST_STEPS = 10_000
#: Levels of pipelines and maps within each other.
DEEPEST = 8
#: Problems after which no more parts are looked at.
ENOUGH = 100

Binding = dict[str, Any]


def as_script(step: str | Binding) -> Binding:
    """A step, which may be the name of a script alone."""
    return {"name": step} if isinstance(step, str) else step


def label(script: Binding) -> str:
    """What a step is called in messages: the name of its script, or its type."""
    name, kind = script.get("name"), script.get("type", "function")
    if kind == "function":
        return str(name)
    return f"{kind} of {name}" if name else str(kind)


def target(script: Binding) -> Binding:
    """The script that a map runs for each item."""
    given: Binding | None = script.get("script")
    if given is not None:
        return given
    return {name: script[name] for name in ("name", "module", "args", "kwargs") if name in script}


def parts(script: Binding, field: str) -> Iterator[tuple[str, Any]]:
    """The scripts that a script is made of, each with its field."""
    steps = script.get("steps")
    if script.get("type") == "pipeline" and isinstance(steps, list):
        for index, step in enumerate(steps):
            yield f"{field}.steps[{index}]", as_script(step)
    if script.get("type") == "map" and "script" in script:
        yield f"{field}.script", script["script"]


def every_script(script: Binding, field: str = "script") -> Iterator[tuple[str, Binding]]:
    """A script and all that it is made of, with their fields: for rules that hold for each."""
    yield field, script
    for place, part in parts(script, field):
        if isinstance(part, dict):
            yield from every_script(part, place)


def function_names(script: Binding) -> list[str]:
    """The names of the functions that a script calls, and those that it is made of."""
    return [
        str(part["name"])
        for _, part in every_script(script)
        if "name" in part and part.get("type", "function") in ("function", "map")
    ]


def own_problems(script: Binding, field: str, depth: int) -> Iterator[Problem]:
    """What is wrong with how a pipeline or a map is made; its parts are looked at for themselves.

    Parameters
    ----------
    field : str
        Where in the job it stands.
    depth : int
        Pipelines and maps around it.
    """
    kind = script.get("type")
    if kind in ("pipeline", "map") and depth >= DEEPEST:
        yield Problem(field, f"is nested too deep: at most {DEEPEST} pipelines and maps")
    elif kind == "pipeline" and isinstance(script.get("steps"), list):
        yield from _steps_problems(script["steps"], f"{field}.steps")
    elif kind == "map":
        yield from _map_problems(script, field)
        yield from form_problems(script["over"], f"{field}.over") if "over" in script else ()


def _steps_problems(steps: list[Any], field: str) -> Iterator[Problem]:
    if not 0 < len(steps) <= MOST_STEPS:
        yield Problem(field, f"has to have 1 to {MOST_STEPS} steps, not {len(steps)}")


def _map_problems(script: Binding, field: str) -> Iterator[Problem]:
    if "script" not in script:
        if "name" not in script:
            yield Problem(f"{field}.name", "is missing: name the script to run for each item")
        return
    for name in ("name", "module", "args", "kwargs"):
        if script.get(name):
            yield Problem(f"{field}.{name}", "stands beside a script: put it in there")


def holds_code(script: Any) -> bool:
    """Whether a job's ``script``, or one within it, carries code."""
    if isinstance(script, dict):
        return script.get("type") == CODE or any(map(holds_code, script.values()))
    return isinstance(script, list) and any(map(holds_code, script))
