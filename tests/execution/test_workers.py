"""Hosts with different scripts: a job is run where its script is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobserver.data.files import DataFiles
from jobserver.execution.local import LocalExecutor
from jobserver.execution.workers import COLLECTION, GONE_SECONDS, Workers
from jobserver.home.settings import load
from jobserver.home.template import make_home
from jobserver.storage.database import Database
from tests.support.database import emptied
from tests.support.runs import begin, read, start
from tests.support.server import MakeServer, finished, until

#: A script that only one of the hosts has.
APART = """
import time
from pathlib import Path

def keep(name: str) -> str:
    print("begun")
    while not (Path(__file__).parents[1] / name).exists():
        time.sleep(0.01)
    return "kept"
"""


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    with emptied(uri, COLLECTION) as opened:
        yield opened


def test_who_lacks_scripts_of_others_says_so_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Workers(database, "host-a:1:x"), Workers(database, "host-b:1:x")
    one.announce({"add": "1", "mean": "1"})
    assert not caplog.records
    for _ in range(2):
        other.announce({"add": "1"})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for word in ("host-b", "mean", "host-a"):
        assert word in caplog.text
    assert "add" not in caplog.text
    assert other.others_have(["mean"])
    assert not other.others_have(["mean", "unheard_of"])
    assert other.hosts() == ["host-a", "host-b"]


def test_who_has_another_version_of_a_script_says_so_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Workers(database, "host-a:1:x"), Workers(database, "host-b:1:x")
    one.announce({"add": "1", "mean": "1"})
    for _ in range(2):
        other.announce({"add": "1", "mean": "2"})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    for word in ("host-b", "mean", "host-a", "version"):
        assert word in caplog.text
    assert "add" not in caplog.text


def test_who_left_or_fell_silent_is_not_counted(database: Database) -> None:
    one = Workers(database, "host-a:1:x")
    one.announce({"mean": "1"})
    assert Workers(database, "host-b:1:x").others_have(["mean"])
    past = database.now() - timedelta(seconds=GONE_SECONDS + 5)
    database[COLLECTION].update_one({}, {"$set": {"seen": past}})
    assert not Workers(database, "host-b:1:x").others_have(["mean"])
    one.announce({"mean": "1", "more": "1"})
    assert Workers(database, "host-b:1:x").others_have(["mean"])
    one.leave()
    assert not Workers(database, "host-b:1:x").others_have(["mean"])


@pytest.mark.parametrize(("in_dask", "is_left"), [(True, False), (False, True)])
def test_a_dask_worker_leaves_no_job_to_servers_and_names_its_host(
    database: Database, tmp_path: Path, in_dask: bool, is_left: bool
) -> None:
    make_home(tmp_path)
    settings = load(tmp_path, environ={}, options={"WORKERS": 1})
    files = DataFiles.from_settings(database, settings)
    executor = LocalExecutor(database, files, settings, serves_queue=not in_dask)
    assert (socket.gethostname() in executor.lacking_hosts()) is in_dask
    Workers(database, "host-a:1:x").announce({"mean": "1"})
    executor.workers = Workers(database, executor.lifecycle.owner)  # looks anew
    job = executor.lifecycle.jobs.create({})
    assert executor.is_left(job.id, ["mean"]) is is_left
    assert not executor.is_left(job.id, ["unheard_of"])
    for name in ("host-a", socket.gethostname()):
        assert name in executor.lacking_hosts()
    executor.scripts.close()
    for slot in executor.slots:
        slot.supervisor.dispose()


def test_a_job_is_left_to_the_host_that_has_its_script(uri: str, make_server: MakeServer) -> None:
    settings = {"MONGO_URI": uri, "SHUTDOWN_GRACE": 0}
    with make_server(prepare=add_apart, **settings) as one:
        until(lambda: "keep" in str(one.client.get("/scripts").json()))
        with make_server(**settings) as other:
            until(lambda: "lacks scripts" in other.log, 20)
            begin(one.client, "keep", name="first")
            second = start(one.client, "keep", name="second")
            # The other host looks at the second job before it runs this one.
            assert finished(one.client, start(one.client, "add", a=1))["result"] == 3
            assert read(one.client, second)["state"] == "queued"
            (one.home / "first").touch()
            (one.home / "second").touch()
            assert finished(one.client, second)["result"] == "kept"

            begin(one.client, "keep", name="third")
            last = start(one.client, "keep", name="third")
            one.terminate()
            job = finished(other.client, last)
            assert (job["state"], job["error"]) == ("failed", "JobNotRunnable")
            assert "'keep' is unknown" in job["message"]


def add_apart(home: Path) -> None:
    (home / "scripts" / "apart.py").write_text(APART)
