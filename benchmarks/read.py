"""Reading a job, beside a bare Flask view that reads the same document."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from statistics import median

from benchmarks.client import Client, apart, together
from benchmarks.figures import Figure
from benchmarks.server import Server, new_server, serving

CLIENTS = (1, 8)
BARE = (sys.executable, "-m", "benchmarks.bare")


@dataclass(frozen=True)
class Round:
    """What one server did in one round.

    Attributes
    ----------
    rate : float
        Requests a second.
    cost : float
        Processor time of the server for one request, in milliseconds.
    """

    rate: float
    cost: float


def measure(quick: bool) -> list[Figure]:
    """Read the guide's job, once finished, from both servers in turn."""
    rounds, seconds = (5, 0.3) if quick else (25, 0.6)
    with new_server() as ours, serving(ours.home, BARE) as bare:
        path = f"/job/{_finished_summary(ours)}"
        figures = []
        for clients in CLIENTS:
            pairs = [
                (_round(ours, path, clients, seconds), _round(bare, path, clients, seconds))
                for _ in range(rounds)
            ]
            figures += _figures(clients, pairs)
    return figures


def _finished_summary(server: Server) -> str:
    client = Client(server.port)
    body = {"script_name": "summary", "datafile": "timeseries.csv"}
    job_id = str(json.loads(client.send("PUT", "/job", body))["_id"])
    client.start(job_id)
    if client.wait(job_id)["state"] != "finished":
        raise RuntimeError(f"the guide's job did not finish: {client.read(job_id)}")
    return job_id


def _round(server: Server, path: str, clients: int, seconds: float) -> Round:
    before = server.processor_time()
    count = apart(reads, server.port, path, clients, seconds)
    return Round(count / seconds, (server.processor_time() - before) / count * 1000)


def reads(port: int, path: str, clients: int, seconds: float) -> int:
    """How many requests some clients get answered, each on a connection of its own."""

    def read(_number: int) -> int:
        client, count = Client(port), 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            client.send("GET", path)
            count += 1
        return count

    return sum(together(clients, read))


def _figures(clients: int, pairs: list[tuple[Round, Round]]) -> list[Figure]:
    who = f"{clients} client{'s' if clients > 1 else ''}"
    ratio = median(ours.rate / bare.rate for ours, bare in pairs)
    saved = median(bare.cost / ours.cost for ours, bare in pairs)
    return [
        Figure(f"GET /job/<id>, {who}, median", median(ours.rate for ours, _ in pairs), "/s"),
        Figure(f"the bare view, {who}, median", median(bare.rate for _, bare in pairs), "/s"),
        Figure(f"ratio of the rates, {who}, median over the rounds", ratio, at_least=0.9),
        Figure(f"processor time, {who}, median", median(ours.cost for ours, _ in pairs), "ms"),
        Figure(f"ratio of the bare view's to that, {who}, median", saved),
    ]
