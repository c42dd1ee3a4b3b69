"""Jobserver on several hosts: each a network namespace with a home of its own, and one MongoDB."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from jobserver.home.settings import HOME
from tests.support.database import FAKETIME, OwnDatabase
from tests.support.fleet import ROOT, Fleet, make_signing_home, manned
from tests.support.networks import Network, network

#: The hosts by what they run jobs with; the database is on one more.
SLOTS = ("server", "worker-1", "worker-2")
DASK = ("scheduler", "hand-1", "hand-2", "server")
DATABASE = "db"
#: Hosts whose clock is wrong, and by how many seconds.
WRONG_CLOCKS, CLOCK_OFF = ("worker-2", "hand-2"), 3600
#: libfaketime cannot sleep as Python does since 3.11.
SLEEP = "import threading, time\ntime.sleep = lambda seconds: threading.Event().wait(seconds)\n"
_PORT, _SCHEDULER = 5000, 8786
_WHO = "faults@example.org", "a password of hosts"


class Hosts(Fleet):
    """A web host and others that run jobs; none shares files with another.

    Parameters
    ----------
    folder : Path
        Where their homes are.
    names : tuple of str
        `SLOTS` or `DASK`.
    """

    def __init__(
        self, folder: Path, names: tuple[str, ...], hosts: Network, **settings: object
    ) -> None:
        self.network = hosts
        self._folder = folder
        (folder / "sitecustomize.py").write_text(SLEEP)
        if names is DASK:
            address = f"tcp://{hosts.address('scheduler')}:{_SCHEDULER}"
            settings |= {"EXECUTOR": "dask", "DASK_SCHEDULER": address}
        super().__init__(folder / "server", names, LOGIN_REQUIRED=True, **settings)
        for name in names:
            if name != "server":
                make_signing_home(self.home_of(name))
        self._add_user(str(settings["MONGO_URI"]))

    def _add_user(self, uri: str) -> None:
        """Add the one user, for whom a thousand jobs at once are not too many."""
        who, password = _WHO
        for words in (
            ("add", who, "--role", "superuser", "--password-stdin"),
            ("limit", who, "5000"),
        ):
            subprocess.run(
                [sys.executable, "-m", "jobserver", "user", *words, "--home", str(self.home)],
                input=f"{password}\n",
                env={"JOBSERVER_MONGO_URI": uri},
                cwd=ROOT,
                text=True,
                check=True,
                capture_output=True,
            )

    def home_of(self, name: str) -> Path:
        """Return the home of a host."""
        return self._folder / name

    def environ(self, name: str) -> dict[str, str]:
        """Settings in the environment of a host."""
        return super().environ(name) | {HOME: str(self.home_of(name))}

    def within(self, name: str) -> tuple[str, ...]:
        """Return what has a command run on a host."""
        own = self.network.within(name)
        return (*own, "env", *self._wrong_clock()) if name in WRONG_CLOCKS else own

    def _wrong_clock(self) -> tuple[str, ...]:
        """Return the environment of a process with another clock."""
        packages = os.pathsep.join((str(ROOT), self._mark, str(self._folder)))
        off = f"FAKETIME={CLOCK_OFF:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC=1"
        return f"LD_PRELOAD={FAKETIME[0]}", *off, f"PYTHONPATH={packages}"

    def command(self, name: str) -> tuple[str, ...]:
        """The module of a member, and its options."""
        own = str(self.home_of(name))
        if name == "server":
            address = ("--host", self.network.address(name), "--port", str(_PORT))
            return "jobserver", "run", *address, "--home", own
        if name == "scheduler":
            address = ("--host", self.network.address(name), "--port", str(_SCHEDULER))
            return "distributed.cli.dask_scheduler", *address, "--no-dashboard"
        if name.startswith("hand"):
            scheduler = f"tcp://{self.network.address('scheduler')}:{_SCHEDULER}"
            size = ("--nthreads", "2", "--no-nanny", "--no-dashboard")
            return "distributed.cli.dask_worker", scheduler, *size
        return "jobserver", "worker", "--home", own

    @contextmanager
    def client(self, timeout: float = 5.0) -> Iterator[httpx.Client]:
        """A client of the web host, on a host of its own."""
        address = f"http://{self.network.address('server')}:{_PORT}"
        with httpx.Client(base_url=address, timeout=timeout, trust_env=False, auth=_WHO) as client:
            yield client

    def books(self, book: Path) -> Path:
        """Write what all hosts signed to one file, by attempt: their clocks do not count."""
        found = [self.home_of(name) / "book" for name in self.names]
        lines = [line for each in found if each.exists() for line in each.read_text().splitlines()]
        book.write_text("".join(f"{line}\n" for line in sorted(lines, key=_order)))
        return book


def _order(line: str) -> tuple[int, int]:
    word, _, attempt = line.split()
    return int(attempt), {"begin": 0, "end": 2}.get(word, 1)


@contextmanager
def hosts(folder: Path, names: tuple[str, ...], **settings: object) -> Iterator[Hosts]:
    """Hosts that are ready; nothing of them is left afterwards."""
    with network("jobhosts", "10.213.78", DATABASE, *names) as made:
        address = made.address(DATABASE)
        database = OwnDatabase(folder / DATABASE, None, (), address, made.within(DATABASE))
        try:
            database.start()
            members = Hosts(folder, names, made, MONGO_URI=database.uri, **settings)
            with manned(members):
                yield members
        finally:
            database.kill()
