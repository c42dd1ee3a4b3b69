"""Whether the slots keep the processor's cores busy."""

from __future__ import annotations

from benchmarks.client import Client, moment, warm
from benchmarks.figures import Figure
from benchmarks.server import WORKERS, Server, new_server

SECONDS = 0.1
JOBS = 40


def measure(quick: bool) -> list[Figure]:
    """Start jobs that each use the processor for a moment, and take the time they all need."""
    with new_server() as server:
        warm(server)
        ratios = [_took(server) / (JOBS * SECONDS / WORKERS) for _ in range(1 if quick else 5)]
    what = f"{JOBS} jobs of {SECONDS:g} s in {WORKERS} slots, by the ideal time"
    return [
        Figure(f"{what}, best", min(ratios), at_most=1.1),
        Figure(f"{what}, worst", max(ratios)),
    ]


def _took(server: Server) -> float:
    """Seconds from the first start to the last end, by the jobs' own times."""
    client = Client(server.port)
    ids = [client.create("burn", seconds=SECONDS) for _ in range(JOBS)]
    for job_id in ids:
        client.start(job_id)
    jobs = [client.wait(job_id) for job_id in reversed(ids)]  # asking disturbs: the last one first
    started = min(moment(job["started"]) for job in jobs)
    return max(moment(job["finished"]) for job in jobs) - started
