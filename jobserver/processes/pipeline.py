"""Pipelines: scripts run one after another in one job, each on the result of the one before."""

from __future__ import annotations

import time

from jobserver.context import current_job
from jobserver.errors import Problem
from jobserver.processes.forms import MOST_PROBLEMS, Binding, as_script, label
from jobserver.processes.function import MakeProcess, Process
from jobserver.processes.maps.map import MapResults, part_problems
from jobserver.processes.run_context import RunContext, current_context


class Pipeline(Process):
    """Runs its steps in order; each result is passed on in memory as the next step's data.

    Parameters
    ----------
    make : callable
        Makes the process of a step.
    script : dict
        The job's ``script``: ``steps``, each a script or the name of one.
    """

    type = "pipeline"

    def __init__(self, make: MakeProcess, script: Binding) -> None:
        self._make = make
        self._steps = [as_script(step) for step in script["steps"]]

    def problems(self, has_data: bool) -> list[Problem]:
        """Return every reason why it cannot run, from all steps."""
        found: list[Problem] = []
        for index, step in enumerate(self._steps):
            if len(found) < MOST_PROBLEMS:
                problems = part_problems(self._make, step, has_data or index > 0)
                found += [_of_step(each, index) for each in problems]
        return found

    def run(self, data: dict[str, object] | None) -> object:
        """Run the steps and return the last one's result."""
        context, value = current_context(), data
        reports, took = not context.steps and not context.in_item, None
        for number, step in enumerate(self._steps, 1):
            begin, end = (number - 1) / len(self._steps), number / len(self._steps)
            context.log(f"step {number} of {len(self._steps)}: {label(step)}")
            with (
                current_job.within(begin, end) as span,
                context.step(f"step {number} ({label(step)})"),
            ):
                if reports:
                    self._report(context, number, span, took)
                began = time.monotonic()
                value = self._make(step).run(value if number == 1 else as_data(value))
                took = time.monotonic() - began
        if reports:
            context.report({"op": "step", "took": took, "fraction": 1.0})
        return value

    def _report(
        self, context: RunContext, number: int, span: tuple[float, float], took: float | None
    ) -> None:
        """Report which step begins and how long the one before it took."""
        name = label(self._steps[number - 1])
        begun = {"step": number, "name": name, "started": time.time()}
        text = f"step {number} of {len(self._steps)}: {name}"
        progress = {"fraction": span[0], "until": span[1], "message": text}
        context.report({"op": "step", **begun, **progress, "took": took})


def as_data(value: object) -> dict[str, object]:
    """Return the result of a step as the data of the next one."""
    return {"value": value.decoded() if isinstance(value, MapResults) else value}


def _of_step(problem: Problem, index: int) -> Problem:
    """Return a problem of a step with its field in the job."""
    field = f"script.steps[{index}]"
    if problem.field != "data":
        return Problem(f"{field}.{problem.field.removeprefix('script.')}", problem.problem)
    if index == 0:
        return problem
    return Problem(field, "takes no data, but is given the result of the step before")
