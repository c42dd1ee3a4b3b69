"""What a slot and each run in it cost: memory, and processor time outside the server."""

from __future__ import annotations

from statistics import median

import psutil

from benchmarks.client import apart, held_slots, warm
from benchmarks.cycle import cycles
from benchmarks.figures import Figure
from benchmarks.processes import pss, run_seconds, settled_pss
from benchmarks.server import Server, new_server

SLOTS = 8
WARM_UP = 50
KNOWN_SECONDS = 0.1
KNOWN_JOBS = 5


def measure(quick: bool) -> list[Figure]:
    """Measure one slot, then as many as SLOTS with a sleeping job in each."""
    jobs = 100 if quick else 1000
    with new_server(workers=1) as server:
        one = _idle(server)
        _check_that_time_is_seen(server)
        cost = _cost(server, "noop", jobs)
    with new_server(workers=SLOTS) as server:
        all_ = _idle(server)
        with held_slots(server):
            running = settled_pss(server)
            runs = _run_processes(server)
    what = f"memory by PSS after {WARM_UP} jobs that do nothing"
    return [
        Figure(f"{what}, all processes below a server of one slot", one, "MiB"),
        Figure("the same of each slot beyond the first", (all_ - one) / (SLOTS - 1), "MiB"),
        Figure(
            f"process of a sleeping job, one in each of {SLOTS} slots, median", median(runs), "MiB"
        ),
        Figure("what each sleeping job adds to its slot", (running - all_) / SLOTS, "MiB"),
        Figure("processor time of a job that does nothing, below the server", cost * 1000, "ms"),
    ]


def _idle(server: Server) -> float:
    """Return the memory of all slots after some jobs."""
    warm(server)
    apart(cycles, server.port, 1, WARM_UP)
    return settled_pss(server)


def _run_processes(server: Server) -> list[float]:
    """Return the memory of each process that a job sleeps in."""
    holders = (server.home / "holders").read_text().split()
    return [pss([psutil.Process(int(pid))]) for pid in holders]


def _cost(server: Server, script: str, jobs: int, **kwargs: object) -> float:
    """Return the seconds of processor time that each of some jobs takes, one after another."""
    before = run_seconds(server)
    apart(cycles, server.port, 1, jobs, script, **kwargs)
    settled_pss(server)  # the process of the last one may be about to end
    return (run_seconds(server) - before) / jobs


def _check_that_time_is_seen(server: Server) -> None:
    """Raise RuntimeError if the time that a script uses is not found."""
    seen = _cost(server, "burn", KNOWN_JOBS, seconds=KNOWN_SECONDS)
    if seen < KNOWN_SECONDS:
        raise RuntimeError(f"of {KNOWN_SECONDS} s that a script used, {seen:.3f} s were seen")
