"""The labels of runs are bounded, whatever scripts there are."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from jobserver.execution.run_metrics import RunMetrics
from jobserver.jobs.job import Job, State


def test_scripts_beyond_the_first_hundred_share_a_label() -> None:
    registry = CollectorRegistry()
    metrics = RunMetrics(registry)
    for number in [*range(150), 0, 149]:
        metrics.observe(Job({"script": {"name": f"s{number}"}}), State.FINISHED, 1.0)

    def runs(script: str) -> float | None:
        labels = {"script": script, "state": "finished"}
        return registry.get_sample_value("jobserver_script_runs_total", labels)

    assert (runs("s0"), runs("s99"), runs("s100"), runs("other")) == (2, 1, None, 51)
    assert registry.get_sample_value("jobserver_runs_total", {"state": "finished"}) == 152
