"""Scripts that hit the processes around them: each job and each file bears its own fault alone."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes.test_map import mapped
from tests.support.runs import begin, cancel, carry_out, start
from tests.support.server import SCRIPTS, MakeServer, Server, finished, until


def add_scripts(home: Path) -> None:
    """Put all of them into a home."""
    shutil.copytree(SCRIPTS.with_name("hostile"), home / "scripts", dirs_exist_ok=True)
    (home / "scripts" / "fine.py").write_text("def fine(): return 'fine'")


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    with make_server(prepare=add_scripts, PROCESS_EVAL_ALLOWED=True, MONGOD="") as server:
        yield server


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client


@pytest.mark.parametrize("script", ["garble", "forge", "stop_above"])
def test_a_job_that_misuses_its_channel_or_its_parent_fails_alone(
    client: httpx.Client, script: str
) -> None:
    job = finished(client, start(client, script), 10)
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert carry_out(client, "fine")["result"] == "fine"
    assert client.get("/jobs").status_code == 200


@pytest.mark.parametrize("script", ["garble", "garble_all", "leave_half"])
def test_a_script_that_breaks_its_channel_is_told_so(client: httpx.Client, script: str) -> None:
    job = finished(client, start(client, script), 10)
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert job["message"] == "the script broke the connection to its process"


def test_slots_that_a_run_only_claims_to_use_come_back(make_server: MakeServer) -> None:
    with make_server(prepare=add_scripts, WORKERS=2) as server:
        hoarder = begin(server.client, "hoard", seconds=20)
        began = time.monotonic()
        for _ in range(3):
            assert carry_out(server.client, "fine")["result"] == "fine"
        assert time.monotonic() - began < 10
        cancel(server.client, hoarder)


def test_a_map_goes_on_though_a_dead_worker_left_a_process(client: httpx.Client) -> None:
    job = mapped(client, {"range": [3]}, "leave_and_die", {"collect_errors": True})
    killed = {"error": "Killed", "message": "killed by SIGKILL"}
    assert job["result"] == [0, killed, 2], job["message"]


def test_files_that_break_their_process_are_named_and_stop_no_others(
    client: httpx.Client,
) -> None:
    def errors() -> dict[str, str]:
        return {each["module"]: each["error"] for each in client.get("/scripts").json()["errors"]}

    assert carry_out(client, "fine")["result"] == "fine"
    until(lambda: {"no_files", "no_forks", "sharing"} <= errors().keys())
    for name in ("no_files", "no_forks"):
        assert "keeps the processes of runs from starting" in errors()[name]
    assert "opens pipes, sockets or shared memory" in errors()["sharing"]
    for script in ("alarmed", "streamed"):
        assert carry_out(client, script)["result"] == script


def test_what_forks_would_share_is_made_by_each_run(client: httpx.Client) -> None:
    assert [carry_out(client, "shared")["result"] for _ in range(2)] == [1, 1]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_runs_within_walls_leave_no_files_open(client: httpx.Client) -> None:
    def evaluate() -> int:
        body = {"script": {"type": "eval", "code": "1 + 1"}}
        job_id = client.put("/job", json=body).json()["_id"]
        client.post(f"/job/{job_id}/run")
        assert finished(client, job_id)["result"] == 2
        found = re.search(r"^process_open_fds (\S+)", client.get("/metrics").text, re.M)
        assert found
        return int(float(found[1]))

    before = [evaluate() for _ in range(3)][-1]  # connections to the database have been opened
    assert [evaluate() for _ in range(4)][-1] <= before + 2
