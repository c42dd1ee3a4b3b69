"""Whether the slots keep the processor's cores busy."""

from __future__ import annotations

import time

from benchmarks.client import Client, Job, held_slots, moment, warm
from benchmarks.figures import Figure
from benchmarks.server import WORKERS, Server, new_server

SECONDS = 0.1
JOBS = 40


def measure(quick: bool) -> list[Figure]:
    """Run jobs that each use the processor for a moment, and take the time they all need."""
    rounds, ideal = 1 if quick else 7, JOBS * SECONDS / WORKERS
    with new_server() as server:
        warm(server)
        pairs = [(_from_start(server), _from_queue(server)) for _ in range(rounds)]
    started, queued = (min(column) / ideal for column in zip(*pairs, strict=True))
    what = f"{JOBS} jobs of {SECONDS:g} s in {WORKERS} slots, by the ideal time of {ideal:g} s"
    return [
        Figure(f"{what}, from the first request on, best", started, at_most=1.1),
        Figure("the same, queued before", queued, at_most=1.1),
    ]


def _from_start(server: Server) -> float:
    """Seconds from the first start to the last end."""
    jobs = _ended(server, _start_all(server))
    return _last_end(jobs) - min(moment(job["started"]) for job in jobs)


def _from_queue(server: Server) -> float:
    """Seconds from when the slots are free to the last end."""
    with held_slots(server) as gate:
        ids = _start_all(server)
        gate.touch()
        free = time.time()
        return _last_end(_ended(server, ids)) - free


def _start_all(server: Server) -> list[str]:
    client = Client(server.port)
    ids = [client.create("burn", seconds=SECONDS) for _ in range(JOBS)]
    for job_id in ids:
        client.start(job_id)
    return ids


def _ended(server: Server, ids: list[str]) -> list[Job]:
    """The jobs as they ended; the last one is asked for first, as asking disturbs."""
    client = Client(server.port)
    return [client.wait(job_id) for job_id in reversed(ids)]


def _last_end(jobs: list[Job]) -> float:
    return max(moment(job["finished"]) for job in jobs)
