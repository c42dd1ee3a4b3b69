"""``jobserver worker``: further processes that run the jobs of a home."""

from __future__ import annotations

import time
from pathlib import Path

from tests.conftest import finished, until
from tests.faults.fleet import fleet
from tests.runs.conftest import begin, cancel, read, start


def test_a_worker_takes_its_part(home: Path) -> None:
    with fleet(home, WORKERS=1, LEASE_SECONDS=2, SHUTDOWN_GRACE=1) as members:
        with members.client() as client:
            until(lambda: "worker with 1 slots" in members.log("worker"), 20)
            both = [begin(client, "wait_for", name="gate") for _ in range(2)]
            assert [read(client, job_id)["state"] for job_id in both] == ["running"] * 2
            # one of these runs in the worker: the server passes the order on by the database
            began = time.monotonic()
            for job_id in both:
                assert cancel(client, job_id)["state"] == "cancelled"
            assert time.monotonic() - began < 2.0

            (home / "gate").touch()
            ids = [start(client, "sign", name="signed") for _ in range(60)]
            assert {finished(client, job_id)["state"] for job_id in ids} == {"finished"}
            signed = (home / "signed").read_text().splitlines()
            assert sorted(signed) == sorted(f"{job_id} 1" for job_id in ids)

            members.stop("worker")
            assert finished(client, start(client, "noop"))["state"] == "finished"
        members.stop()
        assert not members.processes()


def test_a_worker_works_alone(home: Path) -> None:
    """Queued jobs wait for whoever comes; the database goes on with the worker."""
    with fleet(home, "server", WORKERS=1, SHUTDOWN_GRACE=2) as members:
        with members.client() as client:
            begin(client, "doze")
            waiting = [start(client, "sign", name="signed") for _ in range(3)]
        members.stop()
        assert not (home / "signed").exists()
        members.start("worker")
        until((home / "signed").exists, 30)
        until(lambda: len((home / "signed").read_text().splitlines()) == 3, 30)
        members.stop()
        members.wait_ready()
        with members.client() as client:
            assert {read(client, job_id)["state"] for job_id in waiting} == {"finished"}
