"""A server that is stopped past its lease comes back too late."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.runs import add_unruly, begin, cancel, read
from tests.support.server import finished, until

LEASE = 2.0


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("home")
    add_unruly(home)
    with fleet(home, "server", WORKERS=1, LEASE_SECONDS=LEASE, SHUTDOWN_GRACE=0) as members:
        yield members


def on_the_worker(members: Fleet, client: httpx.Client, gate: str, retries: int = 0) -> str:
    """Have the worker run a job, while the server's one slot is busy; its id."""
    holder = begin(client, "doze")
    members.start("worker")
    job_id = begin(client, "wait_for", {"retries": retries}, name=gate)
    cancel(client, holder)
    return job_id


def signed(members: Fleet, job_id: str) -> list[str]:
    """The attempts that a job's script signed."""
    lines = (members.home / "book").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[0] == job_id]


def test_a_late_result_is_refused(members: Fleet) -> None:
    with members.client() as client:
        job_id = on_the_worker(members, client, "first")
        worker = members.members["worker"]
        stopped = time.monotonic()
        worker.send_signal(signal.SIGSTOP)
        job = finished(client, job_id, LEASE + 5)
        assert time.monotonic() - stopped > LEASE - 1
        assert (job["state"], job["error"]) == ("failed", "Interrupted")
        reason = "the server or worker that ran it was silent for more than 2 s"
        assert job["message"] == f"interrupted: {reason}"
        (members.home / "first").touch()
        worker.send_signal(signal.SIGCONT)
        until(lambda: f"a late outcome of job {job_id} was refused" in members.log("worker"), 15)
        assert read(client, job_id) == job
        assert signed(members, job_id) == ["1"]
        members.stop("worker")


def test_a_late_run_is_stopped_and_another_one_counts(members: Fleet) -> None:
    with members.client() as client:
        job_id = on_the_worker(members, client, "second", retries=1)
        worker = members.members["worker"]
        worker.send_signal(signal.SIGSTOP)
        until(lambda: signed(members, job_id) == ["1", "2"], LEASE + 10)
        worker.send_signal(signal.SIGCONT)
        until(lambda: f"a late outcome of job {job_id} was refused" in members.log("worker"), 15)
        assert read(client, job_id)["state"] == "running"
        (members.home / "second").touch()
        job = finished(client, job_id)
    assert (job["state"], job["result"]) == ("finished", "seen")
    assert [one["attempt"] for one in job["attempts"]] == [1, 2]
    assert signed(members, job_id) == ["1", "2"]
