"""A long queue: how fast it drains, what it costs in memory, and that each job runs once."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import Client, apart, held_slots, moment, together
from benchmarks.figures import Figure
from benchmarks.processes import database_seconds, run_seconds
from benchmarks.server import Server, new_server

CLIENTS = 4
DRAIN_SECONDS = 1800


@dataclass(frozen=True)
class Drained:
    """How a queue of jobs that do nothing was drained.

    Attributes
    ----------
    jobs : int
        How many there were.
    seconds : float
        From their release to the last end.
    unfinished : int
        Jobs that did not finish.
    costs : dict of str to float
        Seconds of processor time by what used them.
    """

    jobs: int
    seconds: float
    unfinished: int
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds


def drain(quick: bool) -> list[Figure]:
    """Drain a queue once, and report what each job cost."""
    drained = drained_queue(200 if quick else 1000)
    return [
        Figure(f"{drained.jobs:,} queued jobs, from release to the last end", drained.seconds, "s"),
        Figure("that is", drained.rate, "jobs/s"),
        Figure("of them unfinished", drained.unfinished, at_most=0),
        *(
            Figure(f"processor time of each, {who}", seconds / drained.jobs * 1000, "ms")
            for who, seconds in drained.costs.items()
        ),
    ]


def drained_queue(jobs: int) -> Drained:
    """Queue jobs that do nothing while the slots are busy, then let the slots go."""
    with new_server() as server:
        with held_slots(server) as gate:
            ids = apart(enqueue, server.port, jobs, "noop")
            before = _used(server)
            gate.touch()
            released = time.time()
            took = _last_end(server, ids) - released
        costs = {who: seconds - before[who] for who, seconds in _used(server).items()}
        states = Counter(job["state"] for job in Client(server.port).jobs())
    return Drained(jobs, took, jobs + server.workers - states["finished"], costs)


def memory(quick: bool) -> list[Figure]:
    """Queue very many jobs that sign a book, and look at the server's memory and into the book."""
    jobs = 500 if quick else 10_000
    with new_server() as server:
        with held_slots(server):
            before = server.memory()
            ids = apart(enqueue, server.port, jobs, "sign")
            queued = server.memory()
        _last_end(server, ids)
        after = server.memory()
        signed = Counter((server.home / "book").read_text().split())
    return [
        Figure("memory of the server before", before, "MiB"),
        Figure(f"with {jobs:,} jobs queued", queued, "MiB"),
        Figure("after they ran", after, "MiB"),
        Figure("jobs that ran not at all or twice", _not_once(ids, signed), at_most=0),
    ]


def enqueue(port: int, jobs: int, script: str, **kwargs: object) -> list[str]:
    """Create and start jobs; gives their ids in the order of their start, nearly."""

    def work(_number: int) -> list[str]:
        client, ids = Client(port), []
        for _ in range(jobs // CLIENTS):
            ids.append(client.create(script, **kwargs))
            client.start(ids[-1])
        return ids

    columns = zip(*together(CLIENTS, work), strict=True)
    return [job_id for column in columns for job_id in column]


def _last_end(server: Server, ids: list[str]) -> float:
    """Wait until all jobs ended, and give when the last one did."""
    client = Client(server.port)
    ended = 0.0
    for job_id in reversed(ids):  # the others ended by then: asking disturbs little
        job = client.wait(job_id, seconds=DRAIN_SECONDS)
        ended = max(ended, moment(job["finished"]))
    return ended


def _used(server: Server) -> dict[str, float]:
    return {
        "database": database_seconds(server),
        "server": server.processor_time(),
        "runs": run_seconds(server),
    }


def _not_once(ids: list[str], signed: Counter[str]) -> int:
    return sum(signed[job_id] != 1 for job_id in ids) + len(signed.keys() - set(ids))
