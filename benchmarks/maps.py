"""What pipelines and maps cost, and what a second slot is worth to a map."""

from __future__ import annotations

import json
from typing import Any

import psutil

from benchmarks.client import Client, Job, warm
from benchmarks.figures import Figure
from benchmarks.server import Server, new_server

ITEMS = 8
SECONDS = 0.5
STEPS = 1000
TINY = 100_000


def measure(quick: bool) -> list[Figure]:
    """Run maps in one slot and in two, pipelines of steps that do nothing, and many small items."""
    rounds = 1 if quick else 5
    with new_server(workers=1) as server:
        warm(server)
        alone = min(_map_seconds(server) for _ in range(rounds))
        steps, growth = _pipelines(server, rounds)
        tiny = min(_tiny_seconds(server) for _ in range(rounds))
    with new_server(workers=2) as server:
        warm(server)
        shared = min(_map_seconds(server) for _ in range(rounds))
    what = f"map of {ITEMS} items of {SECONDS:g} s"
    return [
        Figure(
            f"{what}: time in 2 slots by that in 1, best of {rounds}", shared / alone, at_most=0.6
        ),
        Figure(f"{what} in 1 slot, by the ideal time", alone / (ITEMS * SECONDS)),
        Figure(f"pipeline of {STEPS} steps that do nothing, each", steps * 1000, "ms", at_most=5),
        Figure("what the child grows by in each such pipeline", growth, "MiB", at_most=1),
        Figure(f"map of {TINY:,} items that do nothing, each", tiny / TINY * 1e6, "us"),
    ]


def _map_seconds(server: Server) -> float:
    """Seconds of a map of items that each use the processor for a while."""
    script = {"type": "map", "name": "burn", "over": [SECONDS] * ITEMS}
    return float(_run(server, script)["time_sec"])


def _tiny_seconds(server: Server) -> float:
    script = {"type": "map", "name": "same", "over": {"range": [TINY]}}
    return float(_run(server, script)["time_sec"])


def _pipelines(server: Server, rounds: int) -> tuple[float, float]:
    """Seconds for each step of a long pipeline, and MiB that the children grow by in one."""
    script = {"type": "pipeline", "steps": ["same"] * STEPS}
    _run(server, script, raw_data=list(range(1000)))
    before = _children(server)
    jobs = [_run(server, script, raw_data=list(range(1000))) for _ in range(rounds)]
    growth = (_children(server) - before) / rounds
    return min(float(job["time_sec"]) for job in jobs) / STEPS, growth


def _children(server: Server) -> float:
    """MiB that all processes hold that run scripts."""
    below = psutil.Process(server.pid).children(recursive=True)
    ours = [process for process in below if "jobserver.child" in process.cmdline()]
    return sum(process.memory_info().rss for process in ours) / 2**20


def _run(server: Server, script: dict[str, Any], **fields: Any) -> Job:
    client = Client(server.port)
    job = json.loads(client.send("PUT", "/job", {"script": script, **fields}))
    client.start(job["_id"])
    ended = client.wait(job["_id"])
    if ended["state"] != "finished":
        raise RuntimeError(f"a job did not finish: {ended}")
    return ended
