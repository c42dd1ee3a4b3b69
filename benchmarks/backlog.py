"""A long queue: how fast it drains, what it costs in memory, and that each job runs once."""

from __future__ import annotations

import time
from collections import Counter

from benchmarks.client import Client, apart, held_slots, moment, together
from benchmarks.figures import Figure
from benchmarks.server import Server, new_server

CLIENTS = 4
DRAIN_SECONDS = 1800


def drain(quick: bool) -> list[Figure]:
    """Queue jobs that do nothing while the slots are busy, then let the slots go."""
    jobs = 200 if quick else 1000
    with new_server() as server:
        with held_slots(server) as gate:
            ids = apart(enqueue, server.port, jobs, "noop")
            gate.touch()
            released = time.time()
            took = _drained(server, ids) - released
        states = Counter(job["state"] for job in Client(server.port).jobs())
    return [
        Figure(f"{jobs:,} queued jobs, from release to the last end", took, "s"),
        Figure("that is", jobs / took, "jobs/s"),
        Figure("of them unfinished", jobs + 2 - states["finished"], at_most=0),
    ]


def memory(quick: bool) -> list[Figure]:
    """Queue very many jobs that sign a book, and look at the server's memory and into the book."""
    jobs = 500 if quick else 10_000
    with new_server() as server:
        with held_slots(server):
            before = server.memory()
            ids = apart(enqueue, server.port, jobs, "sign")
            queued = server.memory()
        _drained(server, ids)
        after = server.memory()
        signed = Counter((server.home / "book").read_text().split())
    return [
        Figure("memory of the server before", before, "MiB"),
        Figure(f"with {jobs:,} jobs queued", queued, "MiB"),
        Figure("after they ran", after, "MiB"),
        Figure("jobs that ran not at all or twice", _not_once(ids, signed), at_most=0),
    ]


def enqueue(port: int, jobs: int, script: str) -> list[str]:
    """Create and start jobs; gives their ids in the order of their start, nearly."""

    def work(_number: int) -> list[str]:
        client, ids = Client(port), []
        for _ in range(jobs // CLIENTS):
            ids.append(client.create(script))
            client.start(ids[-1])
        return ids

    columns = zip(*together(CLIENTS, work), strict=True)
    return [job_id for column in columns for job_id in column]


def _drained(server: Server, ids: list[str]) -> float:
    """Wait until all jobs ended, and give when the last one did."""
    client = Client(server.port)
    ended = 0.0
    for job_id in reversed(ids):  # the others ended by then: asking disturbs little
        job = client.wait(job_id, seconds=DRAIN_SECONDS)
        ended = max(ended, moment(job["finished"]))
    return ended


def _not_once(ids: list[str], signed: Counter[str]) -> int:
    return sum(signed[job_id] != 1 for job_id in ids) + len(signed.keys() - set(ids))
