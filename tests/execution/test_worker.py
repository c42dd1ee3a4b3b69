"""``jobserver worker``: further processes that run the jobs of a home."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.runs import add_unruly, begin, cancel, read, start
from tests.support.server import finished, until


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("home")
    add_unruly(home)
    with fleet(home, WORKERS=1, LEASE_SECONDS=2, SHUTDOWN_GRACE=1) as members:
        yield members


def signed(members: Fleet, name: str) -> list[str]:
    """What jobs signed in a file of the home."""
    path = members.home / name
    return sorted(path.read_text().splitlines()) if path.exists() else []


def test_a_worker_takes_its_part(members: Fleet) -> None:
    with members.client() as client:
        until(lambda: "worker with 1 slots" in members.log("worker"), 20)
        both = [begin(client, "wait_for", name="gate") for _ in range(2)]
        assert [read(client, job_id)["state"] for job_id in both] == ["running"] * 2
        # one of these runs in the worker: the server passes the order on by the database
        for job_id in both:
            began = time.monotonic()
            assert cancel(client, job_id)["state"] == "cancelled"
            assert time.monotonic() - began < 2.0

        (members.home / "gate").touch()
        ids = [start(client, "sign", name="together") for _ in range(40)]
        assert {finished(client, job_id)["state"] for job_id in ids} == {"finished"}
        assert signed(members, "together") == sorted(f"{job_id} 1" for job_id in ids)

        members.stop("worker")
        assert finished(client, start(client, "noop"))["state"] == "finished"


def test_a_worker_works_alone(members: Fleet) -> None:
    """Queued jobs wait for the next server; the database goes on with the worker."""
    with members.client() as client:
        begin(client, "doze")
        waiting = [start(client, "sign", name="alone") for _ in range(3)]
    members.stop()
    assert not members.processes()
    assert signed(members, "alone") == []
    members.start("worker")
    until(lambda: len(signed(members, "alone")) == 3, 30)
    members.stop()
    members.start("server")
    until(members.is_ready, 30)
    with members.client() as client:
        assert {read(client, job_id)["state"] for job_id in waiting} == {"finished"}
