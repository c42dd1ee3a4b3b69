"""A real server for the tests that want one: a child process, spoken to over HTTP."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from jobserver.home.template import make_home
from jobserver.storage.embedded import EmbeddedServer
from tests.support.contract import check_answer

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
END_SECONDS = 30.0
RUN_SECONDS = 30.0
ACTIVE = {"queued", "running"}
#: Werkzeug leaves the files of a broken form to be collected.
WARNINGS = "error,ignore::ResourceWarning"
#: Scripts that the home of every test server has beside the shipped ones.
SCRIPTS = Path(__file__).parent / "scripts" / "basics.py"
Job = dict[str, Any]
# Commands must not take it for a setting. Processes that test, too, inherit it by the other name.
TEST_URI = "TEST_MONGO_URI"


class Server:
    """A server as a child process with a home of its own.

    Attributes
    ----------
    home : Path
        Its home, made like ``jobserver init`` makes one, with `SCRIPTS` in it.
    address : str
        ``http://127.0.0.1:<port>``.
    process : subprocess.Popen
        The child process.
    environ : dict of str to str
        The environment it was started with.
    client : httpx.Client
        Holds every answer against the declared interface; for any number of threads.
    """

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home = home
        self.environ = environ
        self._log = home / "server.log"
        self._temporary = home / "tmp"
        self._family: list[psutil.Process] = []
        self._temporary.mkdir(exist_ok=True)
        packages = filter(None, (str(ROOT), environ.get("PYTHONPATH")))
        environ |= {"TMPDIR": str(self._temporary), "PYTHONPATH": os.pathsep.join(packages)}
        environ |= {"PYTHONWARNINGS": WARNINGS}
        command = [
            sys.executable,
            "-m",
            "jobserver",
            "run",
            "--home",
            str(home),
            "--port",
            "0",
        ]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=ROOT)
        try:
            self.address = until(self._address, START_SECONDS)
            self.client = self._connect()
            assert self.client.get("/health").status_code == 200
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.port = int(self.address.rpartition(":")[2])

    def _address(self) -> str:
        assert self.process.poll() is None, f"the server did not start:\n{self.log}"
        found = re.search(r"Jobserver \S+ on (http://127\.0\.0\.1:\d+), .*\n", self.log)
        return found[1] if found else ""

    def _connect(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address,
            timeout=30,
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
            verify=False,  # noqa: S501 - no TLS here; loading certificates takes long
            event_hooks={"response": [lambda response: check_answer(response, self.home)]},
        )

    @property
    def log(self) -> str:
        """What it wrote to stdout and stderr."""
        return self._log.read_text(encoding="utf-8")

    @property
    def data(self) -> Path:
        """Folder of its data files."""
        return self.home / "data"

    def stored(self) -> tuple[list[Job], dict[str, tuple[int, int]]]:
        """All jobs, and name, size and time of the last change of every file that is to stay."""
        kept = (path for path in self.home.rglob("*") if path.is_file() and path != self._log)
        files = {
            str(path.relative_to(self.home)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in kept
            if not any(map(path.is_relative_to, (self.home / "db", self._temporary)))
        }
        jobs: list[Job] = self.client.get("/jobs", params={"stringify": "false"}).json()["jobs"]
        return jobs, files

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See to it that the requests inside write nothing."""
        jobs, files = self.stored()
        yield
        jobs_now, files_now = self.stored()
        assert jobs_now == jobs
        changed = files_now.items() ^ files.items()
        assert not changed, changed

    def clear(self) -> None:
        """Let running jobs end, then delete all jobs, data, and data files but the shipped one."""
        gate = self.home / "gate"
        gate.touch()
        until(lambda: self.client.delete("/jobs").json()["acknowledged"], RUN_SECONDS)
        gate.unlink()
        for data in self.client.get("/data").json()["data"]:
            self.client.delete(f"/data/{data['_id']}")
        for path in self.data.iterdir():
            path.unlink()
        make_home(self.home)

    @contextmanager
    def script(self, name: str) -> Iterator[None]:
        """Have a file of ``tests/support/scripts`` among its scripts meanwhile."""
        script = self.home / "scripts" / name
        shutil.copy(SCRIPTS.with_name(name), script)
        yield
        script.unlink()

    def check(self) -> None:
        """See to it that it is well, and that requests left no files behind."""
        assert self.process.poll() is None, f"the server ended:\n{self.log}"
        assert "Traceback" not in self.log, self.log
        assert [path.name for path in self.data.glob(".*")] == []

    def terminate(self) -> None:
        """Tell it to end, as an administrator would."""
        self._family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End it, unless that was done already; nothing of it may be left."""
        if not self._family:
            self.terminate()
        self.client.close()
        try:
            assert self.process.wait(END_SECONDS) == 0, self.log
        finally:
            self.process.kill()
        until(lambda: not any(map(lives, self._family)), 5.0)
        assert "Traceback" not in self.log, self.log
        assert list(self._temporary.iterdir()) == []
        assert [path.name for path in self.data.glob(".*")] == []


MakeServer = Callable[..., AbstractContextManager[Server]]


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Poll until a condition holds; its value."""
    began = time.monotonic()
    deadline = began + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(min(max(0.01, (time.monotonic() - began) / 8), 0.1))
    return value


def lives(process: psutil.Process) -> bool:
    """Whether a process still runs; the system may take its time to forget one that ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_open_below(pid: int, path: Path) -> bool:
    """Whether a process below another has a file open."""
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(FileNotFoundError):  # it has just ended
            opened = [*Path(f"/proc/{process.pid}/fd").iterdir()]
            if path in [each.readlink() for each in opened]:
                return True
    return False


def finished(client: httpx.Client, job_id: str, seconds: float = RUN_SECONDS) -> Job:
    """The job, with native values, once it came to its end."""

    def ended() -> Job | None:
        job: Job = client.get(f"/job/{job_id}", params={"stringify": "false"}).json()
        return None if job["state"] in {"created", *ACTIVE} else job

    found: Job = until(ended, seconds)
    return found


def run_through(client: httpx.Client, **fields: Any) -> Job:
    """Create a job, start it, and give it once it came to its end."""
    job_id = client.put("/job", json=fields).json()["_id"]
    started = client.post(f"/job/{job_id}/run")
    assert started.status_code == 202, started.text
    return finished(client, job_id)


@contextmanager
def own_name(uri: str) -> Iterator[str]:
    """Name a database of its own in a MongoDB, and drop it in the end: its connection string."""
    from pymongo import MongoClient

    name = f"jobserver_test_{secrets.token_hex(6)}"
    parts = urlsplit(uri)
    query = parts.query or f"authSource={parts.path.strip('/') or 'admin'}"
    own = parts._replace(path=f"/{name}", query=query if parts.username else parts.query)
    yield own.geturl()
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(name)


@contextmanager
def embedded_database(home: Path) -> Iterator[str]:
    """The database in a home, for tests that speak to it themselves."""
    embedded = EmbeddedServer(home)
    try:
        yield embedded.start()
    finally:
        embedded.stop()
