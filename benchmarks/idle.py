"""What a server costs that has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from benchmarks.client import warm
from benchmarks.figures import Figure
from benchmarks.processes import pss
from benchmarks.server import new_server


def measure(quick: bool) -> list[Figure]:
    """Leave a server alone that ran jobs, and look at all its processes."""
    seconds = 30 if quick else 600
    with new_server() as server:
        warm(server)
        time.sleep(10)  # what follows the last run is over by then
        root = psutil.Process(server.pid)
        processes = [root, *root.children(recursive=True)]
        before = _used(processes)
        time.sleep(seconds)
        used = _used(processes) - before
        resident = sum(process.memory_info().rss for process in processes) / 2**20
        shared = pss(processes)
    return [
        Figure(
            f"processor time while idle for {seconds} s", used / seconds * 100, "%", at_most=0.5
        ),
        Figure(f"memory of all {len(processes)} processes, RSS", resident, "MiB"),
        Figure("the same, what is shared counted once (PSS)", shared, "MiB"),
    ]


def _used(processes: Iterable[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
