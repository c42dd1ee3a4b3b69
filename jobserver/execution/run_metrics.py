"""Counts of the runs that ended here, and how long they took, for Prometheus."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, Counter, Histogram

from jobserver.jobs.job import Job, State
from jobserver.processes import forms

#: Scripts with figures of their own: each has about 20 lines in an answer.
_MOST_SCRIPTS = 100
_OTHER = "other"
_BUCKETS = (0.01, 0.05, 0.2, 1, 5, 20, 60, 300, 1800, 7200, 28800)


class RunMetrics:
    """What ended here, by state and by script.

    Only a script that exists can be accepted. So the names are those of the server's scripts, and
    there are more than `_MOST_SCRIPTS` only if there are as many scripts.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ended = Counter(
            "jobserver_runs", "Runs that ended here.", ["state"], registry=registry
        )
        self._by_script = Counter(
            "jobserver_script_runs",
            "Runs that ended here, by script; with Dask, the workers know the scripts.",
            ["script", "state"],
            registry=registry,
        )
        self._seconds = Histogram(
            "jobserver_run_seconds",
            "Time from the start of a run to its stored end.",
            ["script"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def count(self, state: State | None) -> None:
        """Count a run that ended; without a state if its end waits to be stored."""
        self._ended.labels(state or "spooled").inc()

    def observe(self, job: Job, state: State | None, seconds: float) -> None:
        """Count a run of a job that ended, and how long it took."""
        self.count(state)
        script = self._name(forms.label(job.script or {}))
        self._by_script.labels(script, state or "spooled").inc()
        self._seconds.labels(script).observe(seconds)

    def _name(self, script: str) -> str:
        """Return the name of a script; of the first so many, as each name takes memory for good."""
        with self._lock:
            if len(self._names) < _MOST_SCRIPTS:
                self._names.add(script)
            return script if script in self._names else _OTHER
