"""The whole way of a job that does nothing: create, start, ask until it is finished."""

from __future__ import annotations

import math
import time
from pathlib import Path

from benchmarks.client import Client, apart, together, warm
from benchmarks.figures import Figure, percentile
from benchmarks.server import Server, jobserver_of, new_server

CLIENTS = (1, 8)
ROOT = Path(__file__).parents[1]


def measure(quick: bool) -> list[Figure]:
    """Take many jobs from their creation to their end."""
    figures = []
    for clients in CLIENTS:
        with new_server() as server:
            warm(server)
            figures += apart(cycles, server.port, clients, 100 if quick else 1000)
    return figures


def compare(quick: bool, against: Path) -> list[Figure]:
    """Take jobs of one client through this server and that of another checkout by turns."""
    with new_server() as ours, new_server(jobserver=jobserver_of(against)) as other:
        for server, checkout in ((ours, ROOT), (other, against)):
            warm(server)
            _check_origin(server, checkout)
        mine, theirs = apart(alternating, (ours.port, other.port), 100 if quick else 1000)
    return [
        Figure("create, run, poll until finished, 1 client, p50", mine, "ms"),
        Figure("the same of the other checkout", theirs, "ms"),
        Figure("how much longer ours takes", mine - theirs, "ms", at_most=2),
    ]


def alternating(ports: tuple[int, ...], jobs: int) -> list[float]:
    """Return the p50 in milliseconds of each of some servers that get one job in turn."""
    clients = [Client(port) for port in ports]
    rounds = [[cycle(client) for client in clients] for _ in range(jobs)]
    return [percentile(times, 50) * 1000 for times in zip(*rounds, strict=True)]


def _check_origin(server: Server, checkout: Path) -> None:
    """Raise RuntimeError if a server's jobs run with the Jobserver of another checkout."""
    client = Client(server.port)
    job_id = client.create("origin")
    client.start(job_id)
    origin = client.wait(job_id)["result"]
    if not Path(origin).is_relative_to(checkout.resolve()):
        raise RuntimeError(f"the server of {checkout} runs jobs with {origin}")


def cycles(
    port: int, clients: int, jobs: int, script: str = "noop", **kwargs: object
) -> list[Figure]:
    """Figures of jobs that some clients share between them."""
    share = jobs // clients

    def work(_number: int) -> list[float | None]:
        client = Client(port)
        return [_seconds(client, script, kwargs) for _ in range(share)]

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


def cycle(client: Client) -> float:
    """Seconds that a job takes that does nothing; infinite if it does not finish."""
    seconds = _seconds(client, "noop", {})
    return math.inf if seconds is None else seconds


def _seconds(client: Client, script: str, kwargs: dict[str, object]) -> float | None:
    """Seconds that one job takes, or None if it does not finish."""
    began = time.perf_counter()
    job_id = client.create(script, **kwargs)
    client.start(job_id)
    job = client.wait(job_id)
    return time.perf_counter() - began if job["state"] == "finished" else None
