"""Scripts that are slow to load: only requests that start a job wait for them."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.fleet import fleet
from tests.support.server import RUN_SECONDS, SCRIPTS, finished, until

#: More than the server has threads.
MANY = 80


@pytest.fixture
def slow(home: Path) -> Path:
    """A home whose scripts load once there is a file."""
    shutil.copy(SCRIPTS.with_name("loading") / "slow.py", home / "scripts")
    return home / "scripts" / "open"


def test_only_who_wants_the_slow_scripts_is_told_to_wait(home: Path, slow: Path) -> None:
    with (
        fleet(home, "server", WORKERS=1) as members,
        members.client(timeout=RUN_SECONDS) as client,
        ThreadPoolExecutor(MANY) as pool,
    ):
        ids = [f"job{number}" for number in range(MANY)]
        for number, job_id in enumerate(ids):
            client.put(f"/job/{job_id}", json={"script_name": "late" if number % 2 else "noop"})
        runs = [pool.submit(client.post, f"/job/{job_id}/run") for job_id in ids]
        refused = until(lambda: [run.result() for run in runs[1::2] if run.done()], 20)[0]
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        message = refused.json()["message"]
        assert "still being" in message
        for path in ("/info", "/health", "/job/job1"):
            began = time.monotonic()
            assert client.get(path).status_code == 200
            assert time.monotonic() - began < 3
        answers = {job_id: run.result() for job_id, run in zip(ids, runs, strict=True)}
        assert {answers[job_id].status_code for job_id in ids[1::2]} == {503}
        accepted = [job_id for job_id in ids[::2] if answers[job_id].status_code == 202]
        assert len(accepted) >= 10
        for job_id in accepted:
            assert finished(client, job_id)["state"] == "finished"
        slow.touch()
        until(lambda: client.post("/job/job1/run").status_code == 202, 20)
        assert finished(client, "job1")["result"] == "at last"


def test_the_server_ends_while_its_scripts_load(home: Path, slow: Path) -> None:
    with fleet(home, "server", WORKERS=2, SHUTDOWN_GRACE=60) as members:
        with members.client(timeout=RUN_SECONDS) as client:
            until(lambda: "slow" in client.get("/scripts").text, 20)
            began = time.monotonic()
            members.stop()
            assert time.monotonic() - began < 10
        assert not slow.exists()
