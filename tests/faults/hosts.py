"""Kill and cut off each of several hosts in turn, while jobs run on all of them.

The clock of one of them is an hour ahead.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.support.hosts import DASK, DATABASE, SLOTS, Hosts, hosts
from tests.support.ledger import Entry, Ledger
from tests.support.server import until

#: A host that is cut off is silent for longer than this: what it ran is interrupted.
LEASE = 10.0
CUT_SECONDS = 20.0
#: Jobs that wait or run at once, and the seconds that the longest takes.
OPEN, LONGEST = 60, 1.0
#: Seconds between two faults, and until everything came to its end after the last one.
PAUSE = 5.0
REST_SECONDS = 180.0
NAMES = {"slots": SLOTS, "dask": DASK}


@dataclass
class HostFigures:
    """What happened to the hosts, and to the jobs.

    Attributes
    ----------
    faults, states, answers
        Counts by fault, by the last state or its error, and by the status of answers.
    ran_on : Counter
        Attempts by host.
    """

    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    ran_on: Counter[str] = field(default_factory=Counter)


def campaign(seed: int, jobs: int, on: str = "slots") -> HostFigures:
    """Run jobs on hosts that fail in turn, and check what came of them.

    Parameters
    ----------
    on : str
        ``slots``: a web host and two workers; ``dask``: a scheduler and two Dask workers.

    Raises
    ------
    AssertionError
        If a job is lost, runs twice, does not end, or does not say how it ended.
    """
    settings: dict[str, object] = {"LEASE_SECONDS": LEASE, "SHUTDOWN_GRACE": 5, "WORKERS": 2}
    with tempfile.TemporaryDirectory(prefix="jobserver-faults-") as name:
        folder = Path(name)
        with hosts(folder, NAMES[on], **settings) as members:
            return _Asked(members, seed, jobs).run(folder / "book")


class _Asked:
    """Asks for jobs in a thread of its own, and has the hosts fail meanwhile."""

    def __init__(self, members: Hosts, seed: int, jobs: int) -> None:
        self._members = members
        self._jobs = jobs
        self._ledger = Ledger(random.Random(seed), LONGEST)  # noqa: S311 - it has to repeat itself
        self._figures = HostFigures()
        self._began = datetime.now(UTC)
        self._faults_over = threading.Event()

    def run(self, book: Path) -> HostFigures:
        """Ask for so many jobs at least, until each host failed in each way."""
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(self._ask)
            try:
                for name, begin, end in self._faults():
                    self._fail(name, begin, end, asking)
            finally:
                self._faults_over.set()
            asking.result()
        with self._members.client(timeout=30) as client:
            self._check(client, book)
        return self._figures

    def _faults(self) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
        """Yield what happens, with what begins and what ends it."""
        members, network = self._members, self._members.network
        for name in members.names:
            kill = partial(self._kill, name)
            yield f"killed {name}", kill, members.wait_ready
        for name in (DATABASE, *members.names):
            yield f"cut off {name}", partial(network.cut_off, name), partial(network.join, name)

    def _kill(self, name: str) -> None:
        self._members.kill(self._members.members[name])

    def _fail(
        self,
        name: str,
        begin: Callable[[], None],
        end: Callable[[], None],
        asking: Future[None],
    ) -> None:
        begin()
        try:
            self._wait(CUT_SECONDS if name.startswith("cut") else PAUSE, asking)
        finally:
            end()
        self._figures.faults[name] += 1
        self._wait(PAUSE, asking)
        self._members.start()  # what ended because another one did

    def _wait(self, seconds: float, asking: Future[None]) -> None:
        """Let time pass; what went wrong in the other thread ends the campaign at once."""
        due = time.monotonic() + seconds
        until(lambda: time.monotonic() >= due or asking.done(), seconds + 1)
        if asking.done():
            asking.result()

    def _ask(self) -> None:
        """Create and start jobs, as long as faults go on, and so many at least."""
        with self._members.client(timeout=5) as client:
            while not self._faults_over.is_set() or len(self._ledger.entries) < self._jobs:
                entries = self._ledger.open()
                if len(entries) < OPEN:
                    self._start(client, self._ledger.new())
                elif self._look_at_all(client, entries):
                    time.sleep(0.05)

    def _look_at_all(self, client: httpx.Client, entries: list[Entry]) -> bool:
        """Look for jobs that ended; whether none did."""
        for entry in entries:
            if entry.started is True:
                self._ledger.look(client, entry)
            else:
                self._start(client, entry)
        return all(entry.is_open for entry in entries)

    def _start(self, client: httpx.Client, entry: Entry) -> None:
        """Create and start a job; where no answer comes, this is tried again later."""
        if entry.created is not True:
            self._ledger.create(client, entry)
        if entry.created:
            self._ledger.start(client, entry)
            if entry.started is not True:
                job = self._ledger.look(client, entry)
                entry.started = True if job and job["state"] != "created" else entry.started

    def _check(self, client: httpx.Client, book: Path) -> None:
        """Wait until all came to its end, and hold it against what was signed and answered."""
        until(lambda: self._are_through(client), REST_SECONDS)
        self._ledger.check(client, self._members.books(book))
        for entry in self._ledger.entries.values():
            assert entry.ended, f"it did not end: {entry}"
            self._check_times(entry.ended)
            self._figures.states[entry.ended.get("error") or entry.ended["state"]] += 1
        self._figures.answers = self._ledger.answers
        for name in self._members.names:
            lines = self._members.home_of(name) / "book"
            text = lines.read_text() if lines.exists() else ""
            self._figures.ran_on[name] = text.count("begin ")

    def _check_times(self, job: dict[str, Any]) -> None:
        """See to it that the wrong clock of a host is in no job."""
        times = [datetime.fromisoformat(job[name]) for name in ("created", "started", "finished")]
        assert times == sorted(times), job
        assert self._began < times[0] < times[-1] < datetime.now(UTC), job
        assert 0 <= job["time_sec"] < (times[-1] - self._began).total_seconds(), job

    def _are_through(self, client: httpx.Client) -> bool:
        entries = self._ledger.open()
        for entry in entries:
            if entry.started is True:
                self._ledger.look(client, entry)
            else:
                self._start(client, entry)
        return not any(entry.is_open for entry in entries)
