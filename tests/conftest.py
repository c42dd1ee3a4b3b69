"""A real server for the tests that want one: a child process, spoken to over HTTP."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import hypothesis
import psutil
import pytest

from jobserver.home.settings import PREFIX
from jobserver.home.template import make_home
from jobserver.storage.embedded import EmbeddedServer
from tests.api.contract import check_answer
from tests.together import Together

# How long an example takes says more of the machine than of what is tested.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    derandomize="CI" in os.environ,  # as hypothesis does itself: the gate tells of the change
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")

# Commands must not take it for a setting. Processes that test, too, inherit it by the other name.
TEST_URI = "TEST_MONGO_URI"
if f"{PREFIX}{TEST_URI}" in os.environ:
    os.environ[TEST_URI] = os.environ.pop(f"{PREFIX}{TEST_URI}")

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
END_SECONDS = 30.0
RUN_SECONDS = 30.0
ACTIVE = {"queued", "running"}
#: Werkzeug leaves the files of a broken form to be collected.
WARNINGS = "error,ignore::ResourceWarning"

#: What the home of every test server offers beside the shipped scripts.
SCRIPTS = '''
import logging
import sys
import time
from pathlib import Path

from jobserver import current_job

GATE = Path(__file__).resolve().parents[1] / "gate"


def noop():
    """Do nothing."""


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def fail(text: str = "failed on purpose"):
    """Raise."""
    raise ValueError(text)


def echo(data):
    """Give the data back."""
    return data


def odd_keys():
    """Give keys that no database likes."""
    return {5: 1, "a.b": 2, "$c": 3, "": 4, "nul\\0": 5, "back\\\\slash": 6}


def size_of(file: Path) -> int:
    """The size of a data file."""
    return file.stat().st_size


def hold(seconds: float = 30.0):
    """Run until the gate is opened."""
    end = time.monotonic() + seconds
    while not GATE.exists() and time.monotonic() < end:
        time.sleep(0.01)


def chatter(lines: int = 3):
    """Print, log and write to stderr."""
    for number in range(lines):
        print("printed", number)
    print("complained", file=sys.stderr)
    logging.getLogger("chatter").info("logged")


def advance(steps: int = 4):
    """Report progress."""
    for step in range(1, steps + 1):
        current_job.progress(step / steps, f"step {step}")
'''

Job = dict[str, Any]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Have tests that share servers run in the same process."""
    return Together(config, log)


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
    client : httpx.Client
        Holds every answer against the declared interface; for any number of threads.
    """

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self.home = home
        self._log = home / "server.log"
        self._temporary = home / "tmp"
        self._family: list[psutil.Process] = []
        self._temporary.mkdir(exist_ok=True)
        environ |= {"TMPDIR": str(self._temporary), "PYTHONPATH": str(ROOT)}
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
        found = re.search(r"^Jobserver .* on (http://127\.0\.0\.1:\d+), .*\n", self.log, re.M)
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
        """All jobs, and name, size and time of the last change of every file but the database's."""
        kept = (path for path in self.home.rglob("*") if path.is_file() and path != self._log)
        files = {
            str(path.relative_to(self.home)): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in kept
            if not path.is_relative_to(self.home / "db")
        }
        jobs: list[Job] = self.client.get("/jobs", params={"stringify": "false"}).json()["jobs"]
        return jobs, files

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """See to it that the requests inside write nothing."""
        before = self.stored()
        yield
        assert self.stored() == before

    def clear(self) -> None:
        """Let running jobs end, then delete all jobs and all data files but the shipped one."""
        gate = self.home / "gate"
        gate.touch()
        until(lambda: self.client.delete("/jobs").json()["acknowledged"], RUN_SECONDS)
        gate.unlink()
        for path in self.data.iterdir():
            path.unlink()
        make_home(self.home)

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
def given_database() -> Iterator[str | None]:
    """A database of its own where there is a MongoDB for the tests: its connection string."""
    uri = os.environ.get(TEST_URI)
    if uri is None:
        yield None
        return
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


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> MakeServer:
    """Run servers: ``with make_server(config="...", STRINGIFY=False) as server``.

    ``config`` is the text of ``config.py``, ``prepare`` is called with the home before the start,
    everything else is a setting. There is one slot unless ``WORKERS`` says more: each takes time.
    """

    @contextmanager
    def make(
        config: str | None = None,
        prepare: Callable[[Path], object] | None = None,
        **settings: object,
    ) -> Iterator[Server]:
        home = tmp_path_factory.mktemp("home")
        make_home(home)
        (home / "scripts" / "trials.py").write_text(SCRIPTS)
        if config is not None:
            (home / "config.py").write_text(config)
        if prepare is not None:
            prepare(home)
        environ = {key: text for key, text in os.environ.items() if not key.startswith(PREFIX)}
        settings = {"WORKERS": 1, **settings}
        environ |= {f"{PREFIX}{name}": str(value) for name, value in settings.items()}
        with given_database() as uri:
            if uri and f"{PREFIX}MONGOD" not in environ:
                environ.setdefault(f"{PREFIX}MONGO_URI", uri)
            server = Server(home, environ)
            try:
                yield server
            except BaseException:
                server.process.kill()
                raise
            server.stop()

    return make


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database, for tests that speak to it themselves."""
    with given_database() as given, ExitStack() as stack:
        home = tmp_path_factory.mktemp("home")
        yield given or stack.enter_context(embedded_database(home))


@pytest.fixture(scope="session")
def shared_server(make_server: MakeServer) -> Iterator[Server]:
    """One server for the whole session; tests take `server`."""
    with make_server(WORKERS=2) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """A running server without jobs, with ``timeseries.csv`` as its one data file."""
    yield shared_server
    shared_server.check()
    shared_server.clear()


@pytest.fixture
def client(server: Server) -> httpx.Client:
    """A client of the server."""
    return server.client
