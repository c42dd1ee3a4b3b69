"""The application under gunicorn, with few threads: its streams, its addresses and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from gunicorn.config import Config

from jobserver.errors import SettingsError
from jobserver.home.settings import HOME, PREFIX
from jobserver.home.template import make_home
from jobserver.wsgi import Application
from tests.support.runs import add_unruly, begin, create, last_state, read
from tests.support.server import END_SECONDS, ROOT, START_SECONDS, own_name, until

THREADS = 4
COMMAND = ("-m", "gunicorn", "-c", "python:jobserver.wsgi", "--threads", str(THREADS))


class Gunicorn:
    """gunicorn as a child process, with a home of its own."""

    def __init__(self, home: Path, bind: str, **settings: str) -> None:
        make_home(home)
        add_unruly(home)
        self.home = home
        self._log = home / "server.log"
        environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        environ |= {HOME: str(home), f"{PREFIX}WORKERS": "1", "PYTHONPATH": str(ROOT)}
        environ |= {f"{PREFIX}{name}": value for name, value in settings.items()}
        command = [sys.executable, *COMMAND, "--bind", bind]
        with self._log.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(encoding="utf-8")

    def address(self) -> str:
        """Where it answers."""
        pattern = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+)")
        found = until(lambda: pattern.search(self.log), START_SECONDS)
        return str(found[1])

    def kill(self) -> None:
        """End it, if it did not end."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory, mongodb: str) -> Iterator[Gunicorn]:
    with own_name(mongodb) as uri:
        server = Gunicorn(tmp_path_factory.mktemp("home"), "127.0.0.1:0", MONGO_URI=uri)
        yield server
        server.kill()


@pytest.fixture(scope="module")
def client(gunicorn: Gunicorn) -> Iterator[httpx.Client]:
    address = gunicorn.address()
    with httpx.Client(base_url=address, timeout=START_SECONDS, trust_env=False) as client:
        yield client


def test_streams_leave_threads_for_the_others(client: httpx.Client) -> None:
    assert client.put("/job/streamed").status_code == 201
    with ExitStack() as stack:
        lines = [  # kept: a stream whose lines are forgotten is closed
            stack.enter_context(client.stream("GET", "/job/streamed/events")).iter_lines()
            for _ in range(THREADS)
        ]
        first_lines = [next(each) for each in lines]
        assert ["too many" in line for line in first_lines] == [False, False, True, True]
        assert client.get("/health", timeout=5).status_code == 200
        waited = client.get("/job/streamed", params={"wait": 60}, timeout=5)
        assert waited.json()["state"] == "created"  # it did not wait


def test_an_address_that_others_reach_needs_a_login(tmp_path: Path) -> None:
    server = Gunicorn(tmp_path, "0.0.0.0:0")
    try:
        assert server.process.wait(START_SECONDS) == 3
    finally:
        server.kill()
    assert "LOGIN_REQUIRED" in server.log
    assert "Traceback" not in server.log


def test_the_address_is_checked_without_our_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path)
    monkeypatch.setenv(HOME, str(tmp_path))
    config = Config()
    config.set("bind", ["unix:/nowhere", ":8000"])
    with pytest.raises(SettingsError, match=r"0\.0\.0\.0.*LOGIN_REQUIRED"):
        Application().open(config)


def test_a_reload_lets_runs_end_and_refuses_nobody(gunicorn: Gunicorn) -> None:
    gate, address = gunicorn.home / "reloaded", gunicorn.address()
    with httpx.Client(base_url=address, trust_env=False) as client:
        job_id = begin(client, "wait_for", name=gate.name)
    gunicorn.process.send_signal(signal.SIGHUP)
    with httpx.Client(base_url=address, timeout=START_SECONDS, trust_env=False) as client:

        def is_healthy() -> bool:
            assert client.get("/health", headers={"Connection": "close"}).status_code == 200
            return gunicorn.log.count("Worker exiting") == 1

        assert read(client, job_id)["state"] == "running"
        gate.touch()
        until(is_healthy, END_SECONDS)
        assert read(client, job_id)["state"] == "finished"


def test_at_the_end_runs_get_a_grace_period(gunicorn: Gunicorn, client: httpx.Client) -> None:
    """The last test: it ends the server."""
    gate = gunicorn.home / "gate"
    job_id = begin(client, "wait_for", name=gate.name)
    other = create(client, "noop")
    gunicorn.process.terminate()
    until(lambda: client.get("/health").status_code == 503)
    assert client.post(f"/job/{other}/run").status_code == 503
    assert read(client, job_id)["state"] == "running"
    gate.touch()
    assert last_state(client, job_id) == "finished"
    assert gunicorn.process.wait(END_SECONDS) == 0, gunicorn.log
