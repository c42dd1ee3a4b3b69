"""What pipelines and maps cost, and what a second slot is worth to a map."""

from __future__ import annotations

import json
import time
from typing import Any

from benchmarks.client import Client, Job, closed_gate, wait_for, warm
from benchmarks.figures import Figure
from benchmarks.processes import of_runs, pss, settled_pss
from benchmarks.server import Server, new_server

ITEMS = 8
SECONDS = 0.5
STEPS = 1000
TINY = 100_000
MIB = 200
STATIONS = 40
SAMPLE_SECONDS = 0.02


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
        tables = _tables(server, rounds)
    what = f"map of {ITEMS} items of {SECONDS:g} s"
    return [
        Figure(
            f"{what}: time in 2 slots by that in 1, best of {rounds}", shared / alone, at_most=0.55
        ),
        Figure(f"{what} in 1 slot, by the ideal time", alone / (ITEMS * SECONDS)),
        Figure(f"pipeline of {STEPS} steps that do nothing, each", steps * 1000, "ms", at_most=5),
        Figure("what each such pipeline leaves in memory", growth, "MiB", at_most=1),
        Figure(f"map of {TINY:,} items that do nothing, each", tiny / TINY * 1e6, "us", at_most=20),
        *tables,
    ]


def _map_seconds(server: Server) -> float:
    """Seconds of a map of items that each use the processor for a while."""
    script = {"type": "map", "name": "burn", "over": [SECONDS] * ITEMS}
    return float(_run(server, script)["time_sec"])


def _tiny_seconds(server: Server) -> float:
    script = {"type": "map", "name": "same", "over": {"range": [TINY]}}
    return float(_run(server, script)["time_sec"])


def _pipelines(server: Server, rounds: int) -> tuple[float, float]:
    """Seconds for each step of a long pipeline, and MiB by PSS that each adds to the slot."""
    script = {"type": "pipeline", "steps": ["same"] * STEPS}
    _run(server, script, raw_data=list(range(1000)))
    before = settled_pss(server)
    jobs = [_run(server, script, raw_data=list(range(1000))) for _ in range(rounds)]
    growth = (settled_pss(server) - before) / rounds
    return min(float(job["time_sec"]) for job in jobs) / STEPS, growth


def _tables(server: Server, rounds: int) -> list[Figure]:
    """Figures of maps over the groups of a large table: the worst of some rounds."""
    memory, processes = zip(*(_table_memory(server) for _ in range(rounds)), strict=True)
    what = f"map of a table of {MIB} MiB by {STATIONS} groups"
    return [
        Figure(f"{what}: memory by PSS, most", max(memory), "MiB", at_most=60),
        Figure("processes that ran its items, fewest", min(processes), at_least=2),
    ]


def _table_memory(server: Server) -> tuple[float, int]:
    """MiB by PSS that a map over groups adds to the run that has the table, and its processes."""
    made = {"name": "stations", "kwargs": {"mib": MIB, "count": STATIONS}}
    over = {"type": "map", "name": "hold_rows", "over": {"groups": "station"}}
    gate, client = closed_gate(server), Client(server.port)
    job_id = _started(client, {"type": "pipeline", "steps": [made, "hold", over]})
    wait_for(server.home / "holders")
    before = most = settled_pss(server)
    gate.touch()
    while (ended := client.read(job_id))["state"] == "running":
        most = max(most, pss(of_runs(server)))
        time.sleep(SAMPLE_SECONDS)
    return most - before, len(set(_finished(ended)["result"]))


def _run(server: Server, script: dict[str, Any], **fields: Any) -> Job:
    client = Client(server.port)
    return _finished(client.wait(_started(client, script, **fields)))


def _started(client: Client, script: dict[str, Any], **fields: Any) -> str:
    job_id = str(json.loads(client.send("PUT", "/job", {"script": script, **fields}))["_id"])
    client.start(job_id)
    return job_id


def _finished(job: Job) -> Job:
    if job["state"] != "finished":
        raise RuntimeError(f"a job did not finish: {job}")
    return job
