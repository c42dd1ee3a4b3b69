"""Upgrade two servers and a worker one after the other, under load, from an earlier version."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from jobserver.storage.schema import SCHEMA
from tests.support.database import own_database
from tests.support.fleet import ROOT, START_SECONDS, Fleet, free_port, manned
from tests.support.ledger import NATIVE, read_book
from tests.support.server import finished, until

SERVERS = ("server-1", "server-2")
CLIENTS = 4
#: Seconds for which each mixture of versions works.
MIXED_SECONDS = 15.0
ORIGIN = '''
import jobserver

def origin() -> str:
    """Return the folder that Jobserver was imported from."""
    return jobserver.__path__[0]
'''


@dataclass
class Upgrade:
    """What clients saw of an upgrade.

    Attributes
    ----------
    answers : Counter
        Their number by status.
    jobs : list of str
        Those that were started.
    origins : dict of str to set
        By the state of the upgrade, the folders of the versions that ran jobs.
    """

    answers: Counter[int] = field(default_factory=Counter)
    jobs: list[str] = field(default_factory=list)
    origins: dict[str, set[str]] = field(default_factory=dict)


def first_of_this_schema() -> str:
    """Return the first revision that stored what this one reads: the oldest one to upgrade from."""
    words = ("log", "--reverse", "--format=%H", f"-SSCHEMA = {SCHEMA}\n", "--")
    return _git(*words, "jobserver/storage/schema.py").split()[0]


def upgrade(revision: str) -> Upgrade:
    """Upgrade from a revision under load.

    Raises
    ------
    AssertionError
        If an answer is a 5xx, or a job is lost, runs twice or does not finish.
    """
    with (
        tempfile.TemporaryDirectory(prefix="jobserver-faults-") as name,
        _checkout(Path(name) / "before", revision) as before,
        own_database(Path(name) / "database") as database,
        manned(_Versions(Path(name) / "home", before, database.uri)) as members,
    ):
        seen = Upgrade()
        until(lambda: "worker with" in members.log("worker"), START_SECONDS)
        with _load(members, seen):
            for member in (None, "worker", *SERVERS):
                members.upgrade(member)
                _work_for_a_while(members, seen, f"upgraded: {member}")
        _check(members, seen, before)
    return seen


def _check(members: _Versions, seen: Upgrade, before: Path) -> None:
    assert not [status for status in seen.answers if status >= 400], seen.answers
    signed = read_book(members.home / "book")
    with members.client(timeout=30) as client:
        for job_id in seen.jobs:
            job = finished(client, job_id)
            assert job["state"] == "finished", job
            assert signed[job_id] == [("begin", 1), ("end", 1)], (job_id, signed[job_id])
    old, new = (str(root / "jobserver") for root in (before, ROOT))
    origins = list(seen.origins.values())
    assert origins[0] == {old}, origins
    assert origins[-1] == {new}, origins
    assert {old, new} in origins, origins


class _Versions(Fleet):
    """Two servers and a worker on one home, each of the earlier version until it is upgraded."""

    def __init__(self, home: Path, before: Path, uri: str) -> None:
        self._roots = dict.fromkeys((*SERVERS, "worker"), before)
        self._ports = {name: free_port() for name in SERVERS}
        #: Servers that a balancer sends requests to.
        self.serving: tuple[str, ...] = SERVERS
        super().__init__(home, (*SERVERS, "worker"), MONGO_URI=uri, WORKERS=1)
        (home / "scripts" / "version.py").write_text(ORIGIN)
        self.port = self._ports[SERVERS[0]]

    def root_of(self, name: str) -> Path:
        """Return the checkout of a member's version."""
        return self._roots[name]

    def command(self, name: str) -> tuple[str, ...]:
        """The module of a member, and its options."""
        own = ("--home", str(self.home))
        if name == "worker":
            return "jobserver", "worker", *own
        return "jobserver", "run", "--port", str(self._ports[name]), *own

    def upgrade(self, name: str | None) -> None:
        """Replace a member by one of this version; a server gets no requests meanwhile."""
        if name is None:
            return
        self.serving = tuple(other for other in SERVERS if other != name)
        self.port = self._ports[self.serving[0]]
        self.stop(name)
        self._roots[name] = ROOT
        self.start(name)
        if name != "worker":
            until(lambda: self._is_up(name), START_SECONDS)
        self.serving = SERVERS

    def _is_up(self, name: str) -> bool:
        try:
            return httpx.get(self.address(name, "/health"), trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def address(self, name: str, path: str) -> str:
        """Return the URL of a path of a server."""
        return f"http://127.0.0.1:{self._ports[name]}{path}"


class _Client:
    """A client behind a balancer that takes the servers by turns."""

    def __init__(self, members: _Versions, seen: Upgrade, http: httpx.Client) -> None:
        self._members, self._seen, self._http = members, seen, http
        self._turns = itertools.count()

    def send(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request to the next server that gets any, and return its answer."""
        serving = self._members.serving
        url = self._members.address(serving[next(self._turns) % len(serving)], path)
        answer = self._http.request(method, url, json=body, params=NATIVE)
        self._seen.answers[answer.status_code] += 1
        found: dict[str, Any] = answer.json()
        return found

    def live(self) -> None:
        """Create a job on one server, change it on another, run it on the next, and read it."""
        script = {"script": {"name": "work", "kwargs": {"seconds": 0.05}}}
        job_id = self.send("PUT", "/job", script)["_id"]
        self.send("POST", f"/job/{job_id}", {"note": "of an upgrade"})
        self.send("POST", f"/job/{job_id}/run")
        self._seen.jobs.append(job_id)
        until(lambda: self.send("GET", f"/job/{job_id}")["state"] == "finished", 60)
        self.send("POST", "/jobs", {"_id": job_id})
        data_id = self.send("PUT", "/data", {"data": [1, 2], "datatype": "json"})["_id"]
        assert self.send("GET", f"/data/{data_id}")["data"] == [1, 2]


@contextmanager
def _load(members: _Versions, seen: Upgrade) -> Iterator[None]:
    """Have clients work while the body runs."""
    is_over = threading.Event()

    def work(_: int) -> None:
        with httpx.Client(timeout=60, trust_env=False) as http:
            client = _Client(members, seen, http)
            while not is_over.is_set():
                client.live()

    with ThreadPoolExecutor(CLIENTS) as pool:
        working = [pool.submit(work, number) for number in range(CLIENTS)]
        try:
            yield
        finally:
            is_over.set()
        for each in working:
            each.result()


def _work_for_a_while(members: _Versions, seen: Upgrade, state: str) -> None:
    """Let a mixture of versions work, and note which of them run jobs."""
    found = seen.origins.setdefault(state, set())
    due = time.monotonic() + MIXED_SECONDS
    with httpx.Client(timeout=60, trust_env=False) as http:
        client = _Client(members, seen, http)
        while time.monotonic() < due:
            job_id = client.send("PUT", "/job", {"script_name": "origin"})["_id"]
            client.send("POST", f"/job/{job_id}/run")
            until(_ended(client, job_id), 60)
            found.add(client.send("GET", f"/job/{job_id}")["result"])


def _ended(client: _Client, job_id: str) -> Callable[[], bool]:
    return lambda: client.send("GET", f"/job/{job_id}")["state"] in ("finished", "failed")


@contextmanager
def _checkout(folder: Path, revision: str) -> Iterator[Path]:
    """A checkout of a revision; it is removed afterwards."""
    _git("worktree", "add", "--detach", str(folder), revision)
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout
