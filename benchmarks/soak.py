"""``python -m benchmarks.soak [MINUTES]``: full load for long, to see whether anything grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread

import psutil

from benchmarks.client import Client, warm
from benchmarks.cycle import cycle
from benchmarks.figures import percentile
from benchmarks.processes import of_database, pss
from benchmarks.server import Server, new_home, serving

CLIENTS = 8
#: Seconds that jobs are kept, so that the home stays as large as it is.
KEPT_SECONDS = 120
_ROW = "{:>7} {:>8} {:>8} {:>9} {:>9} {:>9} {:>9} {:>10}"


class Load:
    """Clients that create, start and await jobs, one after another.

    Parameters
    ----------
    server : Server
        What they load.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._times: list[float] = []
        self._lock = Lock()
        self._over = Event()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(CLIENTS)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait until all clients have."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def take(self) -> list[float]:
        """Seconds of the jobs that ended since the last call."""
        with self._lock:
            times, self._times = self._times, []
        return times

    def _work(self) -> None:
        client = Client(self._server.port)
        while not self._over.is_set():
            seconds = cycle(client)
            with self._lock:
                self._times.append(seconds)


def soak(minutes: float, every: float = 60.0) -> Iterator[tuple[object, ...]]:
    """Give a row for every interval: minute, jobs, milliseconds, MiB."""
    with new_home() as home, serving(home, RESULT_TTL=KEPT_SECONDS) as server:
        warm(server)
        load = Load(server)
        load.start()
        began = time.monotonic()
        while (passed := time.monotonic() - began) < minutes * 60:
            time.sleep(every - passed % every)
            yield _sample(server, load.take(), (time.monotonic() - began) / 60)
        load.stop()


def _sample(server: Server, times: list[float], minute: float) -> tuple[object, ...]:
    root = psutil.Process(server.pid)
    below = root.children(recursive=True)
    milliseconds = [round(percentile(times, percent) * 1000) for percent in (50, 99)]
    memory = [root.memory_info().rss / 2**20, pss(of_database(server)), pss([root, *below])]
    disk = _size(server.home / "db") / 2**20
    return (round(minute), len(times), *milliseconds, *map(round, memory), round(disk))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def main() -> None:
    """Print a row every minute."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    heads = ("minute", "jobs", "p50 ms", "p99 ms", "server", "mongod", "all PSS", "disk MiB")
    print(_ROW.format(*heads), flush=True)
    for row in soak(minutes):
        print(_ROW.format(*row), flush=True)


if __name__ == "__main__":
    main()
