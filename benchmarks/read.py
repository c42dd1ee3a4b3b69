"""Reading a job, beside a bare Flask view that reads the same document."""

from __future__ import annotations

import json
import sys
import time
from statistics import median

from benchmarks.client import Client, apart, together
from benchmarks.figures import Figure
from benchmarks.server import Server, new_server, serving

CLIENTS = (1, 8)
BARE = (sys.executable, "-m", "benchmarks.bare")


def measure(quick: bool) -> list[Figure]:
    """Read the guide's job, once finished, from both servers in turn."""
    rounds, seconds = (3, 0.5) if quick else (9, 2.0)
    with new_server() as ours, serving(ours.home, BARE) as bare:
        path = f"/job/{_finished_summary(ours)}"
        figures = []
        for clients in CLIENTS:
            rates = [
                tuple(apart(reads, server.port, path, clients, seconds) for server in (ours, bare))
                for _ in range(rounds)
            ]
            figures += _figures(clients, rates)
    return figures


def _finished_summary(server: Server) -> str:
    client = Client(server.port)
    body = {"script_name": "summary", "datafile": "timeseries.csv"}
    job_id = str(json.loads(client.send("PUT", "/job", body))["_id"])
    client.start(job_id)
    if client.wait(job_id)["state"] != "finished":
        raise RuntimeError(f"the guide's job did not finish: {client.read(job_id)}")
    return job_id


def reads(port: int, path: str, clients: int, seconds: float) -> float:
    """Requests a second that some clients get answered, each on a connection of its own."""

    def read(_number: int) -> int:
        client, count = Client(port), 0
        client.send("GET", path)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            client.send("GET", path)
            count += 1
        return count

    return sum(together(clients, read)) / seconds


def _figures(clients: int, rates: list[tuple[float, ...]]) -> list[Figure]:
    ours, bare = (median(column) for column in zip(*rates, strict=True))
    ratio = median(mine / theirs for mine, theirs in rates)
    who = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        Figure(f"GET /job/<id>, {who}, median", ours, "/s"),
        Figure(f"the bare view, {who}, median", bare, "/s"),
        Figure(f"ratio, {who}, median over the rounds", ratio, at_least=0.8),
    ]
