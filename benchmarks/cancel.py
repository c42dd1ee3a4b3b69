"""How soon a run that computes without end is stopped."""

from __future__ import annotations

import time

from benchmarks.client import PAUSE_SECONDS, Client, apart, warm
from benchmarks.figures import Figure, percentile
from benchmarks.server import new_server


def measure(quick: bool) -> list[Figure]:
    """Cancel one endless loop after the other."""
    with new_server() as server:
        warm(server)
        times = apart(cancellations, server.port, 10 if quick else 100)
    what = "cancel of an endless loop, from the request to the state"
    return [
        Figure(f"{what}, p50", percentile(times, 50), "ms"),
        Figure(f"{what}, p99", percentile(times, 99), "ms", at_most=1000),
        Figure("of how many", len(times)),
    ]


def cancellations(port: int, count: int) -> list[float]:
    """Milliseconds that each took."""
    client = Client(port)
    return [_cancel(client) * 1000 for _ in range(count)]


def _cancel(client: Client) -> float:
    job_id = client.create("spin")
    client.start(job_id)
    job = client.wait(job_id, "running")
    if job["state"] != "running":
        raise RuntimeError(f"the job is {job['state']}: {job.get('message')}")
    began = time.perf_counter()
    client.send("POST", f"/job/{job_id}/cancel")
    while client.read(job_id)["state"] != "cancelled":
        if time.perf_counter() - began > 30:
            raise RuntimeError(f"the job {job_id} was not cancelled within 30 s")
        time.sleep(PAUSE_SECONDS)
    return time.perf_counter() - began
