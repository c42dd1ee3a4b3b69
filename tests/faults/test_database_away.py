"""The database goes away, hangs or changes its clock while jobs run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.database import FAKETIME, OwnDatabase, own_database
from tests.support.fleet import Fleet, fleet
from tests.support.runs import add_unruly, begin, log_of, read, start
from tests.support.server import finished, until

LEASE = 2.0
SECOND = timedelta(seconds=1)
DAY = 86_400


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the database's clock is off by."""
    path = tmp_path_factory.mktemp("clock") / "offset"
    path.write_text("+0")
    return path


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, clock: Path) -> Iterator[OwnDatabase]:
    environ = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else its waits end at once, and begin anew
    }
    folder = tmp_path_factory.mktemp("own") / "database"
    with own_database(folder, environ if FAKETIME else None) as database:
        yield database


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, database: OwnDatabase) -> Iterator[Fleet]:
    """A server and a worker with one slot each."""
    home = tmp_path_factory.mktemp("home")
    (home / "scripts").mkdir()
    add_unruly(home)
    settings = {"WORKERS": 1, "LEASE_SECONDS": LEASE, "MONGO_URI": database.uri}
    with fleet(home, **settings, SHUTDOWN_GRACE=0) as members:
        until(lambda: "worker with 1 slots" in members.log("worker"), 30)
        yield members


@pytest.fixture
def members(shared: Fleet) -> Iterator[Fleet]:
    (shared.home / "gate").unlink(missing_ok=True)
    yield shared
    assert "Traceback" not in shared.log("server")
    assert "Traceback" not in shared.log("worker")


@pytest.fixture
def client(members: Fleet) -> Iterator[httpx.Client]:
    with members.client(timeout=30) as client:
        yield client


def begin_two(client: httpx.Client) -> list[str]:
    """A job that the server runs, and one that the worker does."""
    return [begin(client, "wait_for", name="gate") for _ in range(2)]


def spooled(members: Fleet) -> int:
    return len(list((members.home / "spool").glob("*.bson")))


def wait(seconds: float) -> None:
    """Let some time pass."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, seconds + 1)


def test_results_wait_for_a_database_that_is_away(
    members: Fleet, client: httpx.Client, database: OwnDatabase
) -> None:
    ids = begin_two(client)
    with database.away():
        began = time.monotonic()
        asked = [("GET", f"/job/{ids[0]}"), ("PUT", "/job"), ("POST", f"/job/{ids[0]}/run")]
        with ThreadPoolExecutor() as pool:
            answers = pool.map(lambda one: client.request(*one, json={}), asked)
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert "database does not answer" in answer.json()["message"]
        (members.home / "gate").touch()
        opened = datetime.now(UTC)
        until(lambda: spooled(members) == 2, 30)
        wait(LEASE + 1 - (time.monotonic() - began))
    for job_id in ids:
        job = finished(client, job_id)
        assert (job["state"], job["result"]) == ("finished", "seen")
        assert log_of(client, job_id) == "begun\n"
        started, ended, stored = (
            datetime.fromisoformat(job[name]) for name in ("started", "finished", "edited")
        )
        assert opened - SECOND < ended < opened + SECOND  # when it ended, not when that was stored
        assert ended < stored
        assert job["time_sec"] == (ended - started).total_seconds()
    until(lambda: spooled(members) == 0)


def test_results_outlive_a_kill_of_the_server_too(
    members: Fleet, client: httpx.Client, database: OwnDatabase
) -> None:
    ids = begin_two(client)
    with database.away():
        (members.home / "gate").touch()
        until(lambda: spooled(members) == 2, 30)
        members.kill_all()
    members.wait_ready()
    for job_id in ids:
        job = finished(client, job_id)
        assert (job["state"], job["result"]) == ("finished", "seen")
    until(lambda: spooled(members) == 0)


def test_a_hung_database_interrupts_nothing(
    members: Fleet, client: httpx.Client, database: OwnDatabase
) -> None:
    ids = begin_two(client)
    with database.hung():
        wait(LEASE + 1)
    wait(LEASE)
    assert [read(client, job_id)["state"] for job_id in ids] == ["running"] * 2
    (members.home / "gate").touch()
    assert [finished(client, job_id)["state"] for job_id in ids] == ["finished"] * 2


@pytest.mark.skipif(not FAKETIME and "CI" not in os.environ, reason="needs faketime")
def test_a_moved_clock_interrupts_nothing(
    members: Fleet, client: httpx.Client, clock: Path
) -> None:
    assert FAKETIME, "apt-get install faketime"
    ids = begin_two(client)
    for days in (1, 0, -1, 0):
        clock.write_text(f"{days * DAY:+d}")
        wait(LEASE)
    wait(LEASE)
    assert [read(client, job_id)["state"] for job_id in ids] == ["running"] * 2
    (members.home / "gate").touch()
    assert [finished(client, job_id)["state"] for job_id in ids] == ["finished"] * 2


@pytest.mark.skipif(not FAKETIME and "CI" not in os.environ, reason="needs faketime")
def test_times_are_the_databases_where_the_clocks_differ(
    members: Fleet, client: httpx.Client, clock: Path
) -> None:
    assert FAKETIME, "apt-get install faketime"
    clock.write_text("-3600")
    said = "3600 s ahead of that of the database"
    until(lambda: all(said in members.log(name) for name in members.names), 30)
    job = finished(client, start(client, "noop"))
    times = [datetime.fromisoformat(job[name]) for name in ("created", "started", "finished")]
    assert times == sorted(times)
    assert datetime.now(UTC) - timedelta(hours=1, seconds=30) < times[0] < times[-1]
    assert times[-1] < datetime.now(UTC) - timedelta(minutes=59)
    assert 0 <= job["time_sec"] < 30
    clock.write_text("+0")
    until(lambda: all("agrees" in members.log(name) for name in members.names), 30)


@pytest.mark.skipif(not FAKETIME and "CI" not in os.environ, reason="needs faketime")
def test_a_silent_run_is_found_though_the_clock_went_back(
    members: Fleet, client: httpx.Client, clock: Path
) -> None:
    assert FAKETIME, "apt-get install faketime"
    ids = begin_two(client)
    members.kill(members.members["worker"])
    clock.write_text(f"{-DAY:+d}")
    until(lambda: "failed" in [read(client, job_id)["state"] for job_id in ids], 4 * LEASE + 5)
    states = sorted(read(client, job_id)["state"] for job_id in ids)
    assert states == ["failed", "running"]
    (members.home / "gate").touch()
    assert sorted(finished(client, job_id)["state"] for job_id in ids) == ["failed", "finished"]
    clock.write_text("+0")
