"""Pipelines: scripts one after another in one job, each with the former's result as its data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jobserver.context import current_job
from jobserver.errors import Problem
from jobserver.processes.forms import ENOUGH, Binding, as_script, label
from jobserver.processes.function import Process, make_process
from jobserver.processes.maps.map import MapResults, part_problems
from jobserver.processes.run_context import RunContext, current_context
from jobserver.storage.documents import utcnow

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry


class Pipeline(Process):
    """Runs its steps in order. What one returns is the next one's data, as it is, in memory.

    Parameters
    ----------
    registry : Registry
        The script table.
    binding : dict
        The job's ``script``: ``steps``, each a script or the name of one.
    """

    type = "pipeline"

    def __init__(self, registry: Registry, binding: Binding) -> None:
        self._registry = registry
        self._steps = [as_script(step) for step in binding["steps"]]

    def problems(self, has_data: bool) -> list[Problem]:
        """Every reason why it cannot run, of all steps."""
        found: list[Problem] = []
        for index, step in enumerate(self._steps):
            if len(found) < ENOUGH:
                problems = part_problems(self._registry, step, has_data or index > 0)
                found += [placed(each, f"steps[{index}]", index > 0) for each in problems]
        return found

    def run(self, data: dict[str, Any] | None) -> Any:
        """Run the steps; what the last one returns."""
        course, value = current_context(), data
        told, took = not course.places and not course.inside, None
        for number, step in enumerate(self._steps, 1):
            begin, end = (number - 1) / len(self._steps), number / len(self._steps)
            course.say(f"step {number} of {len(self._steps)}: {label(step)}")
            with (
                current_job.within(begin, end) as span,
                course.at(f"step {number} ({label(step)})"),
            ):
                if told:
                    self._tell(course, number, span, took)
                began = time.monotonic()
                value = make_process(self._registry, step).run(
                    value if number == 1 else handed(value)
                )
                took = time.monotonic() - began
        if told:
            course.tell({"op": "step", "took": took, "fraction": 1.0})
        return value

    def _tell(
        self, course: RunContext, number: int, span: tuple[float, float], took: float | None
    ) -> None:
        """Tell which step begins, and how long the one before it took."""
        name = label(self._steps[number - 1])
        begun = {"step": number, "name": name, "started": utcnow()}
        text = f"step {number} of {len(self._steps)}: {name}"
        progress = {"fraction": span[0], "until": span[1], "message": text}
        course.tell({"op": "step", **begun, **progress, "took": took})


def handed(value: Any) -> dict[str, Any]:
    """What a step returned as the data of the next one."""
    return {"value": value.decoded() if isinstance(value, MapResults) else value}


def placed(problem: Problem, place: str, has_former: bool) -> Problem:
    """A problem of a part, with the place of the part before its field."""
    if problem.field != "data":
        return Problem(f"script.{place}.{problem.field.removeprefix('script.')}", problem.problem)
    if not has_former:
        return problem
    return Problem(f"script.{place}", "takes no data, but is given the result of the step before")
