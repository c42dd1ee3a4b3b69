"""Listings of many jobs and downloads of large files: how fast, and what they cost the server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

from benchmarks.client import Client
from benchmarks.figures import Figure, percentile
from benchmarks.large_results import Watched
from benchmarks.server import Server, new_home, serving
from jobserver.jobs.job import Job
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.storage.embedded import EmbeddedServer

PAGE = 100
_PIECE = 2**20
#: Requests of each kind.
_TIMES = 200
#: Jobs that have the same value in the field with an index.
_ALIKE = 30


def measure(quick: bool) -> list[Figure]:
    """List 5,000 and 100,000 jobs, and download a data file of 2 GB."""
    few, many, size = (500, 2_000, 50) if quick else (5_000, 100_000, 2_048)
    figures = _few(few)
    with new_home() as home:
        store(home, many)
        with serving(home, SEARCH_FIELDS="station") as server:
            figures += _pages(server, many) + _filters(server, many) + _whole(server, many)
    return figures + _file(size)


def store(home: Path, number: int) -> None:
    """Put so many jobs into a home, one every second up to now."""
    embedded = EmbeddedServer(home)
    database = Database(embedded.start())
    database.create_indexes()
    first = utcnow() - timedelta(seconds=number)
    for start in range(0, number, 1000):
        numbers = range(start, min(start + 1000, number))
        made = [Job.new(_fields(one, number)).document for one in numbers]
        for one in made:
            one["created"] = first + timedelta(seconds=one["number"])
        database.call(database["jobs"].insert_many, made)
    database.close()
    embedded.stop()


def _fields(number: int, total: int) -> dict[str, object]:
    return {"number": number, "script_name": "noop", "station": number % (total // _ALIKE)}


def _few(number: int) -> list[Figure]:
    with new_home() as home:
        store(home, number)
        with serving(home) as server:
            cold = _first_byte(server.port, "/jobs")
            client = Client(server.port)
            rounds, began = 0, time.perf_counter()
            while time.perf_counter() - began < 20:
                client.send("GET", "/jobs")
                rounds += 1
            rate = rounds / (time.perf_counter() - began)
    what = f"GET /jobs of {number:,} jobs"
    return [
        Figure(f"{what}, first byte of the first after a start", cold * 1000, "ms", at_most=100),
        Figure(what, rate, "/s", at_least=5),
    ]


def _whole(server: Server, number: int) -> list[Figure]:
    with Watched(server) as watched:
        began = time.perf_counter()
        read = _read(server.port, "/jobs")
        took = time.perf_counter() - began
    what = f"GET /jobs of {number:,} jobs, {read / 2**20:.0f} MiB"
    return [
        Figure(what, took, "s"),
        Figure(f"{what}: memory that the server takes for it", watched.more, "MiB", at_most=100),
    ]


def _pages(server: Server, number: int) -> list[Figure]:
    """Go from page to page, as a client follows the links; then read the last one again."""
    client, path = Client(server.port), f"/jobs?limit={PAGE}"
    last = json.loads(client.send("GET", f"{path}&sort=-created"))["jobs"][-1]
    end = quote(f"{last['created']}~{last['_id']}")
    paths = [path]

    def follow() -> None:
        answer = json.loads(client.send("GET", paths[-1]))
        paths.append(answer.get("next", path))

    what = f"a page of {PAGE} of {number:,} jobs"
    return [
        *_times(what, 10, follow),
        *_times(f"{what}, the last", 10, lambda: client.send("GET", f"{path}&after={end}")),
    ]


def _filters(server: Server, number: int) -> list[Figure]:
    client, what = Client(server.port), f"of {number:,} jobs"

    def search(selection: dict[str, object]) -> Callable[[], object]:
        return lambda: client.send("POST", f"/jobs?limit={PAGE}", selection)

    return [
        *_times(f"{_ALIKE} {what}, by a field with an index", 5, search({"station": 7})),
        *_times(f"no job {what}, by its state", 5, search({"state": "queued"})),
    ]


def _times(what: str, at_most: float, send: Callable[[], object]) -> list[Figure]:
    """How long a request takes that is sent again and again."""
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        send()
        times.append((time.perf_counter() - began) * 1000)
    return [
        Figure(f"{what}, p50", percentile(times, 50), "ms", at_most=at_most),
        Figure(f"{what}, p99", percentile(times, 99), "ms"),
    ]


def _file(size: int) -> list[Figure]:
    with new_home() as home:
        _grow(home / "data" / "large.csv", home / "data" / "timeseries.csv", size)
        with serving(home) as server:
            figures = []
            for form in ("csv", "json"):
                with Watched(server) as watched:
                    began = time.perf_counter()
                    _read(server.port, f"/datafile/large.csv?format={form}")
                    took = time.perf_counter() - began
                what = f"download of a data file of {size:,} MiB as {form}"
                figures += [
                    Figure(what, took, "s"),
                    Figure(f"{what}: memory", watched.more, "MiB", at_most=100),
                ]
    return figures


def _grow(path: Path, seed: Path, size: int) -> None:
    """A data file of so many MiB, of the same lines again and again."""
    lines = seed.read_bytes().partition(b"\n")[2]
    with path.open("wb") as file, seed.open("rb") as start:
        shutil.copyfileobj(start, file)
        while file.tell() < size * 2**20:
            file.write(lines)


def _first_byte(port: int, path: str) -> float:
    """Seconds until the first of an answer is there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", path)
    connection.getresponse().read(1)
    took = time.perf_counter() - began
    connection.close()
    return took


def _read(port: int, path: str) -> int:
    """Bytes of an answer, read piece by piece."""
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    read = 0
    while piece := answer.read(_PIECE):
        read += len(piece)
    connection.close()
    return read
