"""Large results: how long they take, and what they cost the server and the child in memory."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from threading import Event, Thread

import psutil

from benchmarks.client import Client
from benchmarks.figures import Figure
from benchmarks.server import Server, new_server

#: Columns of the table; the script is `benchmarks.scripts.table`.
COLUMNS = 10
_PIECE = 2**20


def measure(quick: bool) -> list[Figure]:
    """Run a job with a table of 200 MB, and download one of 500 MB in two formats."""
    made, read = (20, 50) if quick else (200, 500)
    with new_server() as server:
        return _run(server, made) + _download(server, read)


def _run(server: Server, size: int) -> list[Figure]:
    client = Client(server.port)
    with Watched(server) as watched:
        began = time.perf_counter()
        job_id = client.create("table", mib=size, columns=COLUMNS)
        client.start(job_id)
        state = client.wait(job_id, seconds=600)["state"]
        took = time.perf_counter() - began
    if state != "finished":
        raise RuntimeError(f"the job with a result of {size} MiB is {state}")
    what = f"a job with a table of {size} MiB"
    return [
        Figure(f"{what}, from the request to the end", took, "s"),
        Figure(f"{what}, memory that the server takes for it", watched.more, "MiB", at_most=100),
        Figure(f"{what}, memory of its child", watched.child, "MiB", at_most=2048),
    ]


def _download(server: Server, size: int) -> list[Figure]:
    client, figures = Client(server.port), []
    job_id = client.create("table", mib=size, columns=COLUMNS)
    client.start(job_id)
    client.wait(job_id, seconds=600)
    for form in ("csv", "json"):
        with Watched(server) as watched:
            began = time.perf_counter()
            read = _read(server.port, f"/job/{job_id}/result?format={form}")
            took = time.perf_counter() - began
        what = f"{form} of a result of {size} MiB"
        memory = f"{what}, memory that the server takes for it"
        figures += [
            Figure(what, took, "s"),
            Figure("that is", read / took / 2**20, "MiB/s"),
            Figure(memory, watched.more, "MiB", at_most=100),
        ]
    return figures


def _read(port: int, path: str) -> int:
    """Bytes of an answer that is thrown away."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"GET {path} answered {answer.status}")
    read = 0
    while piece := answer.read(_PIECE):
        read += len(piece)
    return read


class Watched:
    """Looks at memory again and again, while it is entered.

    Parameters
    ----------
    server : Server
        What is looked at.

    Attributes
    ----------
    more : float
        What the server took at most beyond what it held before, in MiB.
    child : float
        What the largest child held, in MiB.
    """

    def __init__(self, server: Server) -> None:
        self.more = self.child = 0.0
        self._server = server
        self._over = Event()

    def __enter__(self) -> Watched:
        self._before = self._server.memory()
        self._thread = Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.more = max(self.more, self._server.memory() - self._before)
            below = psutil.Process(self._server.pid).children(recursive=True)
            self.child = max([self.child, *map(_size, below)])


def _size(process: psutil.Process) -> float:
    """MiB that a process holds, if it runs scripts."""
    try:
        runs_scripts = "jobserver.child" in process.cmdline()
        return float(process.memory_info().rss / 2**20) if runs_scripts else 0.0
    except psutil.Error:  # it ended meanwhile
        return 0.0
