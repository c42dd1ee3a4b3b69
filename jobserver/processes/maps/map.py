"""Maps: one script run for each of many items, on all idle slots."""

from __future__ import annotations

from collections.abc import Iterator

from jobserver.context import current_job
from jobserver.encoding import EncodedValue, decode_result
from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.forms import MOST_PROBLEMS, Binding, target
from jobserver.processes.function import MakeProcess, Process
from jobserver.processes.maps.items import (
    Items,
    Record,
    is_function,
    takes_kwargs,
    with_item,
    with_kwargs,
)
from jobserver.processes.maps.leader import run_items
from jobserver.processes.over import Over, over_kind, takes_data
from jobserver.processes.run_context import current_context
from jobserver.scripts.arguments import NAME_PROBLEMS

#: Items checked against the script's signature before the job is accepted.
_CHECKED = 100
#: The fields in the job for those of the script's call; None to leave out their problems.
_Fields = dict[str, str | None]


class MapResults(list[object]):
    """The results of a map: `EncodedValue` objects, or dicts that contain them."""

    def decoded(self) -> list[object]:
        """Return the results as the data of another script."""
        return [_decoded(result) for result in self]


class Map(Process):
    """Runs a script for each item; the result is the list of theirs.

    Parameters
    ----------
    make : callable
        Makes the process of an item.
    script : dict
        The job's ``script``: ``over``, and ``name``, ``args``, ``kwargs`` or ``script``;
        ``collect_errors``.
    """

    type = "map"

    def __init__(self, make: MakeProcess, script: Binding) -> None:
        self._make = make
        self._script = script
        self._over: Over = script["over"]

    def problems(self, has_data: bool) -> list[Problem]:
        """Return every reason why it cannot run."""
        kind = over_kind(self._over)
        if takes_data(self._over) and not has_data:
            return [Problem("data", f"is missing: the map runs over its {kind}")]
        if kind in ("list", "range") and has_data:
            return [Problem("data", f"is bound, but the map runs over its own {kind}")]
        return list(self._target_problems(has_data))

    def run(self, data: dict[str, object] | None) -> MapResults:
        """Run the script for each item."""
        collect = bool(self._script.get("collect_errors"))
        with current_job.within(0.0, 1.0) as span:
            items = Items(self._make, self._script, data)
            records = run_items(items, current_context(), span, collect=collect)
        return MapResults(_result(items, number, record) for number, record in enumerate(records))

    def _target_problems(self, has_data: bool) -> Iterator[Problem]:
        """Yield what is wrong with the script, called for one of the first items."""
        script, kind = target(self._script), over_kind(self._over)
        parent = "script.script" if "script" in self._script else "script"
        if kind == "grid" and not takes_kwargs(script):
            text = "gives keyword arguments, which only a script with a name takes"
            yield Problem("script.over.grid", text)
            return
        seen: set[Problem] = set()
        for variant, given, fields in _calls(script, self._over, has_data, parent):
            for found in part_problems(self._make, variant, given):
                problem = _of_map(found, parent, fields, is_grid=kind == "grid")
                if problem and problem not in seen and len(seen) < MOST_PROBLEMS:
                    seen.add(problem)
                    yield problem


def part_problems(make: MakeProcess, script: Binding, has_data: bool) -> list[Problem]:
    """Return every reason why a script that is part of another cannot run."""
    try:
        return make(script).problems(has_data)
    except JobNotRunnable as error:
        return list(error.errors)


def _result(items: Items, number: int, record: Record) -> object:
    """Return the result or error of an item, for a grid with its parameters."""
    failure: Record = {name: record[name] for name in ("error", "message") if name in record}
    if items.is_grid:
        outcome: Record = failure or {"result": EncodedValue(record["result"])}
        return {"parameters": items.items[number], **outcome}
    return failure or EncodedValue(record["result"])


def _calls(
    script: Binding, over: Over, has_data: bool, parent: str
) -> Iterator[tuple[Binding, bool, _Fields]]:
    """Yield the script as called for the first items, whether with data, and its fields."""
    kind = over_kind(over)
    if isinstance(over, dict) and kind == "grid":
        yield from _grid_calls(script, over["grid"], has_data)
    elif kind in ("list", "range") and is_function(script):
        items = over if isinstance(over, list) else range(*over["range"])
        count = len(script.get("args", [])) + 1
        moved = {f"args[{n + 1}]": f"{parent}.args[{n}]" for n in range(count)}
        for index, item in enumerate(items[:_CHECKED]):
            field = f"script.over[{index}]" if kind == "list" else "script.over.range"
            yield with_item(script, item), False, {"args[0]": field, **moved}
        if not items:
            yield script, True, {}
    else:
        yield script, True, {}


def _grid_calls(
    script: Binding, axes: dict[str, list[object]], has_data: bool
) -> Iterator[tuple[Binding, bool, _Fields]]:
    """Yield the script with each value of each axis, and the first values of the others."""
    point = {name: values[0] if values else None for name, values in axes.items()}
    others: _Fields = dict.fromkeys(f"kwargs.{name}" for name in axes)
    yield with_kwargs(script, point), has_data, others
    for name, values in axes.items():
        for index, value in enumerate(values[:_CHECKED]):
            field = f"script.over.grid.{name}[{index}]"
            variant = with_kwargs(script, {**point, name: value})
            yield variant, has_data, {**others, f"kwargs.{name}": field}


def _of_map(problem: Problem, parent: str, fields: _Fields, *, is_grid: bool) -> Problem | None:
    """Return a problem of the script with its field in the job; None to leave it out."""
    field = problem.field.removeprefix("script.")
    if field == "data" and not is_grid:
        return Problem(parent, "takes no data, but is given an item as its first argument")
    if field == "data":
        return problem
    job_field = fields.get(field, f"{parent}.{field}")
    if is_grid and job_field and problem.problem.startswith(NAME_PROBLEMS):
        job_field = job_field.partition("[")[0]  # no value of this axis would do
    return Problem(job_field, problem.problem) if job_field else None


def _decoded(result: object) -> object:
    if isinstance(result, EncodedValue):
        return decode_result(result.value)
    if isinstance(result, dict):
        return {name: _decoded(value) for name, value in result.items()}
    return result
