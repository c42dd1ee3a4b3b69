"""Sleeping jobs on one, two and four processes: how their number scales the rate."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.backlog import enqueue
from benchmarks.client import Client, held_slots, moment
from benchmarks.figures import Figure
from benchmarks.server import JOBSERVER, START_SECONDS, new_home, serving

#: Seconds that a job sleeps: long beside what it costs the processor.
SECONDS = 0.5
NUMBERS = (1, 2, 4)


def measure(quick: bool) -> list[Figure]:
    """Drain a queue of sleeping jobs by a server and workers, each of one slot."""
    jobs = 40 if quick else 200
    rates = {number: _rate(number, jobs) for number in NUMBERS}
    what = f"{jobs} queued jobs that sleep {SECONDS:g} s, from release to the last end"
    return [
        *(
            Figure(f"{what}, {n} processes of one slot", rate, "jobs/s")
            for n, rate in rates.items()
        ),
        Figure("rate of 4 by that of 1", rates[4] / rates[1], at_least=3.5),
    ]


def _rate(number: int, jobs: int) -> float:
    """Return the jobs a second of a server and workers, so many in all."""
    with new_home() as home, serving(home, workers=1) as server, ExitStack() as workers:
        for each in range(1, number):
            workers.enter_context(_working(home, each))
        with held_slots(replace(server, workers=number)) as gate:
            ids = enqueue(server.port, jobs, "doze", seconds=SECONDS)
            gate.touch()
            released = time.time()
            client = Client(server.port)
            ends = [moment(client.wait(one, seconds=jobs)["finished"]) for one in reversed(ids)]
        return jobs / (max(ends) - released)


@contextmanager
def _working(home: Path, number: int) -> Iterator[None]:
    """A worker of one slot that has begun to look for jobs."""
    log = home / f"worker-{number}.log"
    environ = {**os.environ, "JOBSERVER_WORKERS": "1"}
    command = [*JOBSERVER, "worker", "--home", str(home)]
    with log.open("w") as file, subprocess.Popen(command, stderr=file, env=environ) as process:
        deadline = time.monotonic() + START_SECONDS
        while "worker with 1" not in log.read_text():
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the worker did not start: {log.read_text()}")
            time.sleep(0.01)
        try:
            yield
        finally:
            process.terminate()
