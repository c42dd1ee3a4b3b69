"""Jobs in a Dask cluster: a real scheduler, real workers, and the death of each."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.support.cluster import HANDS, Cluster
from tests.support.fleet import manned
from tests.support.runs import add_unruly, begin, cancel, carry_out, log_of, read, start
from tests.support.server import finished, run_through, until

LEASE = 3.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("home")
    add_unruly(home)
    with manned(Cluster(home, LEASE_SECONDS=LEASE, SHUTDOWN_GRACE=0)) as members:
        yield members
        assert "Traceback" not in members.log("server"), members.log("server")


@pytest.fixture
def client(cluster: Cluster) -> Iterator[httpx.Client]:
    cluster.wait_ready()
    with cluster.client(timeout=30) as client:
        yield client


def signed(cluster: Cluster, name: str) -> list[str]:
    """The lines of scripts that signed."""
    path = cluster.home / name
    return sorted(path.read_text().splitlines()) if path.exists() else []


def test_the_guide(client: httpx.Client) -> None:
    job = run_through(client, script_name="summary", datafile="timeseries.csv")
    assert job["state"] == "finished"
    assert job["result"]["value"]["count"] == 12000.0


def test_code_of_users_runs_in_children_of_the_workers(
    cluster: Cluster, client: httpx.Client
) -> None:
    ids = [begin(client, "wait_for", name="two") for _ in HANDS]
    children = cluster.children()
    for name in HANDS:
        own = psutil.Process(cluster.members[name].pid).children(recursive=True)
        assert set(own) & set(children), f"{name} has no child"
    (cluster.home / "two").touch()
    assert {finished(client, job_id)["state"] for job_id in ids} == {"finished"}
    above = carry_out(client, "surroundings")["result"]["parent"]
    assert above not in {member.pid for member in cluster.members.values()}
    assert cluster.hand_of(above) in HANDS


def test_a_crash_takes_nobody_along(cluster: Cluster, client: httpx.Client) -> None:
    bystander = begin(client, "wait_for", name="bystander")
    vanished = carry_out(client, "vanish", code=3)
    assert vanished["message"] == "the script ended its process with exit code 3"
    assert carry_out(client, "unruly.crash")["message"] == "killed by SIGSEGV"
    assert carry_out(client, "end_guard")["message"] == "killed by SIGKILL"
    (cluster.home / "bystander").touch()
    assert finished(client, bystander)["state"] == "finished"
    assert all(cluster.members[name].poll() is None for name in HANDS)


def test_cancel_timeout_retries_and_log(cluster: Cluster, client: httpx.Client) -> None:
    ids = [begin(client, script) for script in ("spin", "deaf")]
    waiting = start(client, "sign", name="never")
    assert cancel(client, waiting)["message"] == "cancelled before it started"
    for job_id in ids:
        began = time.monotonic()
        assert cancel(client, job_id)["state"] == "cancelled"
        assert time.monotonic() - began < 2.0
    assert signed(cluster, "never") == []

    late = carry_out(client, "spin", {"timeout": 0.5})
    assert (late["state"], late["message"]) == ("failed", "timeout of 0.5 s exceeded")
    job = carry_out(client, "fail_until", {"retries": 2}, attempt=2)
    assert [one["state"] for one in job["attempts"]] == ["failed", "finished"]
    job = carry_out(client, "bar", steps=4, pause=0.0)
    assert job["progress"] == 1.0
    assert "4/4" in log_of(client, job["_id"])


def test_no_more_is_handed_over_than_the_cluster_can_run(
    cluster: Cluster, client: httpx.Client
) -> None:
    from distributed import Client

    ids = [begin(client, "wait_for", name="room") for _ in HANDS]
    ids += [start(client, "sign", name="roomy") for _ in range(20)]
    with Client(cluster.address, set_as_default=False) as dask:
        tasks = dask.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
    assert tasks == 2
    assert [read(client, job_id)["state"] for job_id in ids[2:]] == ["queued"] * 20
    (cluster.home / "room").touch()
    assert {finished(client, job_id)["state"] for job_id in ids} == {"finished"}
    assert signed(cluster, "roomy") == sorted(f"{job_id} 1" for job_id in ids[2:])


def test_a_killed_worker(cluster: Cluster, client: httpx.Client) -> None:
    """The run is reported as interrupted; Dask retries its task, which finds it claimed."""
    job_id = begin(client, "wait_for", name="killed")
    tried = begin(client, "wait_for", {"retries": 1}, name="killed")
    cluster.kill(*(cluster.members[name] for name in HANDS))
    assert finished(client, job_id, LEASE + 15)["error"] == "Interrupted"
    (cluster.home / "killed").touch()
    cluster.start()
    assert [one["error"] for one in finished(client, tried)["attempts"]] == ["Interrupted", None]
    runs = sorted(f"{one} {attempt}" for one, attempt in ((job_id, 1), (tried, 1), (tried, 2)))
    assert [line for line in signed(cluster, "book") if line in runs] == runs


def test_a_killed_scheduler(cluster: Cluster, client: httpx.Client) -> None:
    """Its workers end, and take their runs along; what waits is handed to the next scheduler."""
    running = [begin(client, "wait_for", name="never-there") for _ in HANDS]
    waiting = [start(client, "sign", name="resubmitted") for _ in range(10)]
    cluster.kill(cluster.members["scheduler"])
    for job_id in running:
        assert finished(client, job_id, LEASE + 15)["state"] == "failed"
    assert {read(client, job_id)["state"] for job_id in waiting} == {"queued"}
    cluster.replace_hands()
    assert {finished(client, job_id)["state"] for job_id in waiting} == {"finished"}
    assert signed(cluster, "resubmitted") == sorted(f"{job_id} 1" for job_id in waiting)


def test_runs_go_on_without_the_server(cluster: Cluster, client: httpx.Client) -> None:
    """Its database is away with it; what came of them is there when both are back."""
    ids = [begin(client, "wait_for", name="meanwhile") for _ in HANDS]
    waiting = start(client, "sign", name="afterwards")
    cluster.stop("server")
    (cluster.home / "meanwhile").touch()
    until(lambda: len(list((cluster.home / "spool").glob("*.bson"))) == 2, 30)
    assert signed(cluster, "afterwards") == []
    cluster.wait_ready()
    assert {finished(client, job_id)["state"] for job_id in ids} == {"finished"}
    assert finished(client, waiting)["state"] == "finished"
    assert signed(cluster, "afterwards") == [f"{waiting} 1"]


def test_a_worker_that_closes_ends_its_run_at_once(cluster: Cluster, client: httpx.Client) -> None:
    job_id = begin(client, "doze")
    for name in HANDS:
        cluster.members[name].terminate()
    job = finished(client, job_id)
    assert job["message"] == "interrupted: its Dask worker was shut down"
