"""Maps: one script for each of many items, on all slots that have nothing else to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jobserver.context import current_job
from jobserver.encoding import EncodedValue, decode_result
from jobserver.errors import JobNotRunnable, Problem
from jobserver.processes.forms import ENOUGH, Binding, target
from jobserver.processes.function import Process, make_process
from jobserver.processes.maps.items import (
    Items,
    Record,
    is_function,
    takes_kwargs,
    with_item,
    with_kwargs,
)
from jobserver.processes.maps.leader import run_items
from jobserver.processes.over import Over, kind_of, takes_data
from jobserver.processes.run_context import current_context

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

#: Items that are tried against the script's signature before the job is accepted.
_TRIED = 100
#: Where a field of the script's call stands in the job; None where it is told otherwise.
_Fields = dict[str, str | None]


class MapResults(list[Any]):
    """The results of a map: of `EncodedValue` values, or dicts that hold them."""

    def decoded(self) -> list[Any]:
        """The results for a script that takes them as its data."""
        return [_decoded(result) for result in self]


class Map(Process):
    """Runs a script for each item, and gives their results in the order of the items.

    Parameters
    ----------
    registry : Registry
        The script table.
    binding : dict
        The job's ``script``: ``over``, and ``name``, ``args``, ``kwargs`` or ``script``;
        ``collect_errors``.
    """

    type = "map"

    def __init__(self, registry: Registry, binding: Binding) -> None:
        self._registry = registry
        self._binding = binding
        self._over: Over = binding["over"]

    def problems(self, has_data: bool) -> list[Problem]:
        """Every reason why it cannot run."""
        kind = kind_of(self._over)
        if takes_data(self._over) and not has_data:
            return [Problem("data", f"is missing: the map runs over its {kind}")]
        if kind in ("list", "range") and has_data:
            return [Problem("data", f"is bound, but the map runs over a {kind} of its own")]
        return list(self._target_problems(has_data))

    def run(self, data: dict[str, Any] | None) -> MapResults:
        """Run the script for each item."""
        collect = bool(self._binding.get("collect_errors"))
        with current_job.within(0.0, 1.0) as span:
            items = Items(self._registry, self._binding, data)
            records = run_items(items, current_context(), span, collect=collect)
        return MapResults(
            self._shown(items, number, record) for number, record in enumerate(records)
        )

    def _shown(self, items: Items, number: int, record: Record) -> Any:
        """A result as it is told: for a grid with the parameters beside it."""
        failure: Record = {name: record[name] for name in ("error", "message") if name in record}
        if items.is_grid:
            told: Record = failure or {"result": EncodedValue(record["result"])}
            return {"parameters": items.items[number], **told}
        return failure or EncodedValue(record["result"])

    def _target_problems(self, has_data: bool) -> Iterator[Problem]:
        """What is wrong with the script, or with it and one of the first items."""
        script, kind = target(self._binding), kind_of(self._over)
        place = "script.script" if "script" in self._binding else "script"
        if kind == "grid" and not takes_kwargs(script):
            text = "gives keyword arguments, which only a script with a name takes"
            yield Problem("script.over.grid", text)
            return
        seen: set[Problem] = set()
        for variant, given, fields in _tried(script, self._over, has_data, place):
            for problem in part_problems(self._registry, variant, given):
                told = _placed(problem, place, fields, is_grid=kind == "grid")
                if told and told not in seen and len(seen) < ENOUGH:
                    seen.add(told)
                    yield told


def part_problems(registry: Registry, script: Binding, has_data: bool) -> list[Problem]:
    """Every reason why a script that is part of another cannot run."""
    try:
        return make_process(registry, script).problems(has_data)
    except JobNotRunnable as refusal:
        return list(refusal.errors)


def _tried(
    script: Binding, over: Over, has_data: bool, place: str
) -> Iterator[tuple[Binding, bool, _Fields]]:
    """The script as it is called for the first items: with data or not, and what fields mean."""
    kind = kind_of(over)
    if isinstance(over, dict) and kind == "grid":
        yield from _grid_tried(script, over["grid"], has_data)
    elif kind in ("list", "range") and is_function(script):
        items = over if isinstance(over, list) else range(*over["range"])
        count = len(script.get("args", [])) + 1
        moved = {f"args[{n + 1}]": f"{place}.args[{n}]" for n in range(count)}
        for index, item in enumerate(items[:_TRIED]):
            field = f"script.over[{index}]" if kind == "list" else "script.over.range"
            yield with_item(script, item), False, {"args[0]": field, **moved}
        if not items:
            yield script, True, {}
    else:
        yield script, True, {}


def _grid_tried(
    script: Binding, axes: dict[str, list[Any]], has_data: bool
) -> Iterator[tuple[Binding, bool, _Fields]]:
    """The script with each value of each axis, and the first ones of the others."""
    point = {name: values[0] if values else None for name, values in axes.items()}
    others: _Fields = dict.fromkeys(f"kwargs.{name}" for name in axes)
    yield with_kwargs(script, point), has_data, others
    for name, values in axes.items():
        for index, value in enumerate(values[:_TRIED]):
            field = f"script.over.grid.{name}[{index}]"
            variant = with_kwargs(script, {**point, name: value})
            yield variant, has_data, {**others, f"kwargs.{name}": field}


def _placed(problem: Problem, place: str, fields: _Fields, *, is_grid: bool) -> Problem | None:
    """A problem of the script with the field that it has in the job; None where another has it."""
    field = problem.field.removeprefix("script.")
    if field == "data" and not is_grid:
        return Problem(place, "takes no data, but is given an item as its first argument")
    if field == "data":
        return problem
    where = fields.get(field, f"{place}.{field}")
    return Problem(where, problem.problem) if where else None


def _decoded(result: Any) -> Any:
    if isinstance(result, EncodedValue):
        return decode_result(result.value)
    if isinstance(result, dict):
        return {name: _decoded(value) for name, value in result.items()}
    return result
