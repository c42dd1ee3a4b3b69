"""What the processes that run a server's jobs hold and use, whatever their arrangement.

They are all descendants of the server but its database and what belongs to that.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from benchmarks.server import Server

#: Two samples of memory this close count as equal, taken this far apart for at most so long.
CLOSE = 0.01
PAUSE_SECONDS = 0.5
SETTLE_SECONDS = 30


def of_runs(server: Server) -> list[psutil.Process]:
    """Return the processes below a server, without those of its embedded database."""
    rest = set(of_database(server))
    below = psutil.Process(server.pid).children(recursive=True)
    return [process for process in below if process not in rest]


def of_database(server: Server) -> list[psutil.Process]:
    """Return the processes below a server whose command names the database's folder."""
    folder = str(server.home / "db")
    found = []
    for process in psutil.Process(server.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(folder in argument for argument in process.cmdline()):
                found += [process, *process.children(recursive=True)]
    return found


def pss(processes: Iterable[psutil.Process]) -> float:
    """Return the memory of processes in MiB; what n processes share counts as 1/n for each."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # it has ended
            total += process.memory_full_info().pss
    return total / 2**20


def settled_pss(server: Server) -> float:
    """Return the memory of a server's runs in MiB once it no longer changes."""
    deadline = time.monotonic() + SETTLE_SECONDS
    before, now = 0.0, pss(of_runs(server))
    while abs(now - before) > CLOSE * now and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        before, now = now, pss(of_runs(server))
    return now


def run_seconds(server: Server) -> float:
    """Return the processor time that a server's runs have used, in processes that ended too.

    The time of a process that ended counts for the parent that waited for it, so it is missing
    where a parent ignores SIGCHLD instead.
    """
    ended = psutil.Process(server.pid).cpu_times()
    return _seconds(of_runs(server)) + ended.children_user + ended.children_system


def database_seconds(server: Server) -> float:
    """Return the processor time that a server's embedded database has used."""
    return _seconds(of_database(server))


def _seconds(processes: Iterable[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # its parent has its time now
            total += sum(process.cpu_times()[:4])
    return total
