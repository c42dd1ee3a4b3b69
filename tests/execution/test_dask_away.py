"""A Dask worker that has nothing but the address of the database, and what it offers to jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import AwayCluster
from tests.support.database import own_database
from tests.support.fleet import manned
from tests.support.runs import begin, carry_out, create, log_of, read, start
from tests.support.server import finished, run_through, until

AWAY = """
import time
from pathlib import Path

def hold(folders: list) -> None:
    print("begun")
    while not Path("/", *folders, "go").exists():
        time.sleep(0.01)

def version() -> int:
    return {number}

def fall() -> None:
    raise ValueError("on purpose")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwayCluster]:
    with own_database(tmp_path_factory.mktemp("database") / "db") as database:
        members = AwayCluster(tmp_path_factory.mktemp("home"), database.uri)
        script(members).write_text(AWAY.format(number=1))
        with manned(members):
            yield members
            assert "Traceback" not in members.log("server"), members.log("server")


@pytest.fixture
def client(cluster: AwayCluster) -> Iterator[httpx.Client]:
    with cluster.client(timeout=30) as client:
        yield client


def script(cluster: AwayCluster) -> Path:
    """The file of the scripts."""
    return cluster.home / "scripts" / "away.py"


def refused(client: httpx.Client, **resources: object) -> dict[str, str]:
    """Why a job with resources is refused, by field."""
    answer = client.post(f"/job/{create(client, 'version', {'resources': resources})}/run")
    assert answer.status_code == 422, answer.text
    return {each["field"]: each["problem"] for each in answer.json()["errors"]}


def test_the_guides_job(cluster: AwayCluster, client: httpx.Client) -> None:
    content = (cluster.home / "data" / "timeseries.csv").read_bytes()
    assert client.put("/datafile/away.csv", files={"file": content}).status_code == 201
    job = run_through(client, script_name="summary", datafile="away.csv")
    assert job["state"] == "finished", job
    assert job["result"]["value"]["count"] == 12000.0


def test_scripts_travel_as_they_are_when_a_job_is_handed_over(
    cluster: AwayCluster, client: httpx.Client
) -> None:
    for number in (1, 2):
        script(cluster).write_text(AWAY.format(number=number))
        job = carry_out(client, "version")
        assert job["result"] == number
        expected = hashlib.sha256(script(cluster).read_bytes()).hexdigest()
        assert job["provenance"]["script"]["version"] == expected


def test_a_log_names_files_relative_to_the_home(client: httpx.Client) -> None:
    job = carry_out(client, "fall")
    assert job["message"] == "ValueError: on purpose"
    log = log_of(client, job["_id"])
    assert "away.py" in log
    assert "/tmp/" not in log  # noqa: S108 - where its copy is


def test_a_job_waits_for_its_resource_and_holds_up_nobody(
    client: httpx.Client, tmp_path: Path
) -> None:
    folders = list(tmp_path.parts[1:])
    first = begin(client, "hold", {"resources": {"GPU": 1}}, folders=folders)
    waiting = [start(client, "version", {"resources": {"GPU": 0.5}}) for _ in range(3)]
    assert carry_out(client, "version", {"resources": {"memory": "500 MB"}})["result"] == 2
    assert [read(client, job_id)["state"] for job_id in waiting] == ["queued"] * 3
    (tmp_path / "go").touch()
    assert {finished(client, job_id)["state"] for job_id in (first, *waiting)} == {"finished"}


def test_what_no_worker_offers_is_refused(client: httpx.Client) -> None:
    assert "GPU=1" in refused(client, GPU=2)["resources.GPU"]
    assert refused(client, FPGA=1, memory="2 GB").keys() == {"resources.FPGA", "resources.memory"}


def test_info_has_the_status_and_the_dashboard(client: httpx.Client) -> None:
    shown = client.get("/info").json()["cluster"]
    assert "has workers" in shown["status"]
    assert shown["dashboard"].startswith("http://127.0.0.1:")


def test_a_worker_without_jobserver_is_named_in_the_job_and_in_the_log(
    cluster: AwayCluster, client: httpx.Client
) -> None:
    cluster.start("bare")
    wanted = {"resources": {"bare": 1}}
    job_id = create(client, "version", wanted)
    until(lambda: client.post(f"/job/{job_id}/run").status_code == 202, 30)
    told = "it has no Jobserver"
    until(lambda: told in str(read(client, job_id).get("message")), 20)
    assert read(client, job_id)["state"] == "queued"
    assert told in cluster.log("server")
    cluster.kill(cluster.members["bare"])
    until(lambda: "offers bare=1 at present" in read(client, job_id)["message"], 20)
    assert client.post(f"/job/{job_id}/cancel").json()["state"] == "cancelled"
