"""Scripts that take their time to load: nobody but who wants to start a job waits for them."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import RUN_SECONDS, finished, until
from tests.faults.fleet import fleet

LOADING = """
import time
from pathlib import Path

while not Path(__file__).with_name("open").exists():
    time.sleep(0.02)
"""
#: More than the server has threads.
MANY = 80


@pytest.fixture
def slow(home: Path) -> Path:
    """A home whose scripts load once there is a file."""
    (home / "scripts" / "slow.py").write_text(LOADING)
    return home / "scripts" / "open"


def test_the_server_answers_while_many_wait_for_the_scripts(home: Path, slow: Path) -> None:
    with (
        fleet(home, "server", WORKERS=1) as members,
        members.client(timeout=RUN_SECONDS) as client,
        ThreadPoolExecutor(MANY) as pool,
    ):
        ids = [f"job{number}" for number in range(MANY)]
        for job_id in ids:
            client.put(f"/job/{job_id}", json={"script_name": "noop"})
        runs = [pool.submit(client.post, f"/job/{job_id}/run") for job_id in ids]
        refused = until(lambda: [run.result() for run in runs if run.done()])[0]
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "still being loaded" in refused.json()["message"]
        for path in ("/info", "/health", "/job/job1"):
            began = time.monotonic()
            assert client.get(path).status_code == 200
            assert time.monotonic() - began < 3
        slow.touch()
        answers = {job_id: run.result() for job_id, run in zip(ids, runs, strict=True)}
        statuses = Counter(answer.status_code for answer in answers.values())
        assert statuses.keys() == {202, 503}
        assert statuses[202] >= 20
        for job_id, answer in answers.items():
            if answer.status_code == 202:
                assert finished(client, job_id)["state"] == "finished"
            else:
                assert client.get(f"/job/{job_id}").json()["state"] == "created"


def test_the_server_ends_while_its_scripts_load(home: Path, slow: Path) -> None:
    with fleet(home, "server", WORKERS=2, SHUTDOWN_GRACE=60) as members:
        with members.client(timeout=RUN_SECONDS) as client, ThreadPoolExecutor(2) as pool:
            for job_id in ("one", "two"):
                client.put(f"/job/{job_id}", json={"script_name": "noop"})
            waiting = [pool.submit(client.post, f"/job/{job_id}/run") for job_id in ("one", "two")]
            until(lambda: all(run.running() for run in waiting))
            assert client.get("/info").status_code == 200
            began = time.monotonic()
            members.stop()
            assert time.monotonic() - began < 10
            assert all(_is_refused(run.result()) for run in waiting)
        assert not slow.exists()


def _is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and "shutting down" in answer.json()["message"]
