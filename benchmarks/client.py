"""A client that costs little: one kept connection, and the steps of a job's life."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from benchmarks.server import Server

P = ParamSpec("P")
T = TypeVar("T")
Job = dict[str, Any]

ENDED = ("finished", "failed", "cancelled")
PAUSE_SECONDS = 0.002


class Client:
    """Speaks to a server over one connection that is kept.

    Parameters
    ----------
    port : int
        Where the server listens.
    """

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, method: str, path: str, body: object = None) -> bytes:
        """Send a request and give the body of its answer, which has to be a success."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {content!r}")
        return content

    def create(self, script: str, **kwargs: object) -> str:
        """Create a job; gives its id."""
        body = {"script": {"name": script, "kwargs": kwargs}}
        return str(json.loads(self.send("PUT", "/job", body))["_id"])

    def start(self, job_id: str) -> None:
        """Start a job."""
        self.send("PUT", f"/job/{job_id}/run")

    def read(self, job_id: str) -> Job:
        """A job with its values as they are."""
        job: Job = json.loads(self.send("GET", f"/job/{job_id}?stringify=false"))
        return job

    def wait(self, job_id: str, state: str = "finished", seconds: float = 60) -> Job:
        """Ask for a job until it is in a state or has ended, or time is up; give it as it is then.

        The pauses grow with the time that was waited, so asking costs the server little, and the
        end is seen at most a quarter of that time too late.
        """
        began = time.monotonic()
        while (job := self.read(job_id))["state"] not in (state, *ENDED):
            waited = time.monotonic() - began
            if waited > seconds:
                break
            time.sleep(min(max(PAUSE_SECONDS, waited / 4), 1.0))
        return job

    def jobs(self) -> list[Job]:
        """All jobs of the server."""
        found: list[Job] = json.loads(self.send("GET", "/jobs?stringify=false"))["jobs"]
        return found


def moment(text: str) -> float:
    """A time of a job in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def together(clients: int, work: Callable[[int], T]) -> list[T]:
    """What some threads give that do the same at once; each gets its number."""
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(work, range(clients)))


def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function gives in a process of its own, where load is made beside nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def closed_gate(server: Server) -> Path:
    """Return the file whose making lets jobs go that hold; there is none of either now."""
    for name in ("holders", "gate"):
        (server.home / name).unlink(missing_ok=True)
    return server.home / "gate"


def wait_for(path: Path, seconds: float = 60) -> None:
    """Wait until a file exists; TimeoutError if it does not by then."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} was not made")
        time.sleep(PAUSE_SECONDS)


@contextmanager
def held_slots(server: Server) -> Iterator[Path]:
    """Keep every slot busy; gives the file whose making lets them go, which the end does too."""
    client = Client(server.port)
    gate = closed_gate(server)
    holders = [client.create("hold") for _ in range(server.workers)]
    for job_id in holders:
        client.start(job_id)
    for job_id in holders:
        client.wait(job_id, "running")
    try:
        yield gate
    finally:
        gate.touch()
    client = Client(server.port)  # the server closed the other one if this took long
    for job_id in holders:
        client.wait(job_id)


def warm(server: Server) -> None:
    """Wait until every slot has a child that can run jobs at once."""
    with held_slots(server):
        pass
