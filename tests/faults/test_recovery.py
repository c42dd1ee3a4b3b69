"""What a killed server leaves: jobs that say so, queued ones that run, and no process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.fleet import GONE_SECONDS, Fleet, fleet
from tests.support.runs import add_unruly, begin, create, read, start
from tests.support.server import finished, until

LEASE = 2.0


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("home")
    add_unruly(home)
    with fleet(home, "server", WORKERS=2, LEASE_SECONDS=LEASE, SHUTDOWN_GRACE=0) as members:
        yield members


def signed(members: Fleet, *ids: str) -> list[str]:
    """Job and attempt of every run of some jobs."""
    lines = (members.home / "book").read_text().splitlines()
    return sorted(line for line in lines if line.split()[0] in ids)


def test_after_a_killed_server(members: Fleet) -> None:
    with members.client() as client:
        cut = begin(client, "family")
        tried = begin(client, "wait_for", {"retries": 1}, name="gate")
        waiting = [start(client, "sign", name="signed") for _ in range(3)]
        created = create(client, "sign", name="signed")
        members.kill(members.members["server"])
        killed = time.monotonic()
        until(lambda: not members.processes(), GONE_SECONDS)

        members.wait_ready()
        job = finished(client, cut, LEASE + 15)
        assert (job["state"], job["error"]) == ("failed", "Interrupted")
        assert time.monotonic() - killed < LEASE + 15
        (members.home / "gate").touch()
        again = finished(client, tried)
        assert [one["error"] for one in again["attempts"]] == ["Interrupted", None]
        assert {finished(client, job_id)["state"] for job_id in waiting} == {"finished"}
        assert read(client, created)["state"] == "created"
        ran = (members.home / "signed").read_text().splitlines()
        assert sorted(ran) == sorted(f"{job_id} 1" for job_id in waiting)
        assert signed(members, tried) == [f"{tried} 1", f"{tried} 2"]


def test_two_that_recover_do_it_once(members: Fleet) -> None:
    """Both see every heartbeat grow old; the attempts count by one."""
    with members.client() as client:
        members.start("worker")
        ids = [begin(client, "wait_for", {"retries": 5}, name="both") for _ in range(4)]
        members.kill_all()
        members.start("server", "worker")
        members.wait_ready()
        until(lambda: len(signed(members, *ids)) == 8, LEASE + 20)
        (members.home / "both").touch()
        for job_id in ids:
            job = finished(client, job_id)
            assert [one["attempt"] for one in job["attempts"]] == [1, 2]
    assert signed(members, *ids) == sorted(f"{job_id} {one}" for job_id in ids for one in (1, 2))


def test_a_stopped_guard_does_not_outlive_the_next_start(members: Fleet) -> None:
    with members.client() as client:
        begin(client, "stop_guard")
        members.kill(*members.members.values())
        assert members.orphans()
        members.wait_ready()
        until(lambda: not members.orphans(), GONE_SECONDS)


def test_a_killed_guard_takes_its_child_along(members: Fleet) -> None:
    with members.client() as client:
        job_id = begin(client, "doze")
        children = {process.pid for process in members.children()}
        guards = [one for one in members.children() if one.ppid() not in children]
        members.kill(*guards)
        job = finished(client, job_id)
        assert (job["state"], job["error"]) == ("failed", "Killed")
        assert job["message"] == "the process that ran it ended"
        assert finished(client, start(client, "pid"))["state"] == "finished"
        until(lambda: not members.orphans(), GONE_SECONDS)
