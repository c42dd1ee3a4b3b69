"""The whole way of a job that does nothing: create, start, ask until it is finished."""

from __future__ import annotations

import time

from benchmarks.client import Client, apart, together, warm
from benchmarks.figures import Figure, percentile
from benchmarks.server import new_server

CLIENTS = (1, 8)


def measure(quick: bool) -> list[Figure]:
    """Take many jobs from their creation to their end."""
    figures = []
    for clients in CLIENTS:
        with new_server() as server:
            warm(server)
            figures += apart(cycles, server.port, clients, 100 if quick else 1000)
    return figures


def cycles(port: int, clients: int, jobs: int) -> list[Figure]:
    """Figures of jobs that some clients share between them."""
    share = jobs // clients

    def work(_number: int) -> list[float | None]:
        client = Client(port)
        return [_cycle(client) for _ in range(share)]

    began = time.perf_counter()
    found = [seconds for list_ in together(clients, work) for seconds in list_]
    took = time.perf_counter() - began
    times = [seconds * 1000 for seconds in found if seconds is not None]
    who = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        Figure(f"create, run, poll until finished, {who}, p50", percentile(times, 50), "ms"),
        Figure(f"the same, {who}, p99", percentile(times, 99), "ms"),
        Figure(f"jobs, {who}", len(found) / took, "/s"),
        Figure(f"jobs left unfinished of {len(found):,}", len(found) - len(times), at_most=0),
    ]


def _cycle(client: Client) -> float | None:
    """Seconds that one job takes, or None if it does not finish."""
    began = time.perf_counter()
    job_id = client.create("noop")
    client.start(job_id)
    job = client.wait(job_id)
    return time.perf_counter() - began if job["state"] == "finished" else None
