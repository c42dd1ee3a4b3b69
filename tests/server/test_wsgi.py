"""The application under gunicorn, where streams occupy the few threads that it has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from jobserver.home.settings import HOME, PREFIX
from jobserver.home.template import make_home
from tests.support.server import END_SECONDS, ROOT, START_SECONDS, own_name, until

THREADS = 4
COMMAND = ("-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", str(THREADS))
OPTIONS = ("--no-control-socket", "--bind", "127.0.0.1:0", "jobserver.wsgi:app")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, mongodb: str) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("home")
    make_home(home)
    environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    environ |= {HOME: str(home), f"{PREFIX}WORKERS": "1", "PYTHONPATH": str(ROOT)}
    log = home / "server.log"
    with own_name(mongodb) as uri, log.open("w") as output:
        environ[f"{PREFIX}MONGO_URI"] = uri
        command = [sys.executable, *COMMAND, *OPTIONS]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ)
        try:
            pattern = re.compile(r"Listening at: (http://127\.0\.0\.1:\d+)")
            found = until(lambda: pattern.search(log.read_text()), START_SECONDS)
            with httpx.Client(base_url=found[1], timeout=START_SECONDS, trust_env=False) as client:
                yield client
            process.terminate()
            assert process.wait(END_SECONDS) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


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
