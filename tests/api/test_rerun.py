"""Jobs made again of old ones, and what is recorded of a run so that it can be repeated."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

import jobserver
from jobserver.jobs.job import SERVER_FIELDS
from jobserver.scripts.shipped import timeseries
from tests.support.server import Job, Server, finished, run_through

NATIVE = {"stringify": "false"}


def again(client: httpx.Client, job_id: str, **fields: Any) -> Job:
    """The job that is made of an old one."""
    answer = client.post(f"/job/{job_id}/rerun", json=fields, params=NATIVE)
    assert answer.status_code == 201, answer.text
    job: Job = answer.json()
    assert answer.headers["Location"] == f"/job/{job['_id']}"
    assert (job["rerun_of"], job["state"], job["started"]) == (job_id, "created", None)
    assert job["_id"] != job_id
    return job


def own(job: Job) -> Job:
    """The fields that a client gave."""
    return {name: value for name, value in job.items() if name not in SERVER_FIELDS}


def rerun(client: httpx.Client, job_id: str, **fields: Any) -> Job:
    """Make a job again, run it, and give it at its end."""
    made = again(client, job_id, **fields)
    started = client.post(f"/job/{made['_id']}/run")
    assert started.status_code == 202, started.text
    return finished(client, made["_id"])


BINDINGS: list[Job] = [
    {"script_name": "summary", "datafile": "timeseries.csv"},
    {"script_name": "echo", "raw_data": [1, {"a": None}]},
    {"script": {"name": "echo"}, "data": {"type": "raw_data", "data": [1, 2]}},
    {"script": {"name": "summary"}, "data": {"type": "datafile", "name": "timeseries.csv"}},
    {"script": {"name": "add", "args": [1], "kwargs": {"b": 5}}, "note": "mine", "timeout": 20},
    {"script_name": "add", "script": {"name": "add", "args": [1]}},
    {"script_name": "noop", "tags": ["a", {"b": 1}], "pinned": True},
]


@pytest.mark.parametrize("fields", BINDINGS)
def test_a_job_is_made_again_and_gives_the_same(client: httpx.Client, fields: Job) -> None:
    old = run_through(client, **fields)
    new = again(client, old["_id"])
    assert own(new).keys() == {*fields, "seed"}
    assert {name: own(new)[name] for name in fields.keys() - {"script", "data"}} == {
        name: fields[name] for name in fields.keys() - {"script", "data"}
    }
    client.post(f"/job/{new['_id']}/run")
    new = finished(client, new["_id"])
    assert new["state"] == old["state"] == "finished"
    assert new["result"] == old["result"]
    assert new["provenance"] == old["provenance"]
    assert own(new) == {**own(old), "seed": old["provenance"]["seed"]}


def test_a_data_file_is_read_again_as_it_was(client: httpx.Client) -> None:
    client.put("/datafile/kept.csv", content=b"t,q\n2020-01-01,1.5\n2020-01-02,-9\n")
    client.post("/datafile/kept.csv", json={"options": {"missing": [-9]}})
    old = run_through(client, script_name="summary", datafile="kept.csv")
    client.post("/datafile/kept.csv", json={"options": {"text": ["q"], "skip": 1}})
    made = again(client, old["_id"])
    options = {"missing": [-9], "text": None, "skip": None}
    assert own(made) == {
        "script_name": "summary",
        "data": {"type": "datafile", "name": "kept.csv", **options},
        "seed": old["provenance"]["seed"],
    }
    client.post(f"/job/{made['_id']}/run")
    assert finished(client, made["_id"])["result"] == old["result"]
    page = client.get(f"/ui/job/{old['_id']}", headers={"Accept": "text/html"}).text
    assert "&#39;text&#39;: None" in page
    client.delete("/datafile/kept.csv")


def test_a_job_that_was_not_started_is_copied(client: httpx.Client) -> None:
    job_id = client.put("/job", json={"script_name": "add", "data": 5, "x": 1}).json()["_id"]
    assert own(again(client, job_id)) == {"script_name": "add", "data": 5, "x": 1}


def test_a_failed_job_is_run_again_with_other_parameters(client: httpx.Client) -> None:
    old = run_through(client, script_name="fail", note="first")
    assert old["state"] == "failed"
    assert "error" not in again(client, old["_id"])
    new = rerun(client, old["_id"], script={"name": "add", "args": [1]}, note="second")
    assert (new["result"], new["note"]) == (3, "second")
    assert "script_name" not in new


def test_other_data_replaces_the_old_one(client: httpx.Client) -> None:
    old = run_through(client, script_name="echo", raw_data=[1])
    assert rerun(client, old["_id"], raw_data=[2])["result"] == [2]
    data = {"type": "raw_data", "data": [3]}
    assert rerun(client, old["_id"], data=data)["result"] == [3]
    job = rerun(client, old["_id"], datafile="timeseries.csv", script_name="summary")
    assert job["result"]["value"]["count"] == 12_000


def test_a_job_made_again_is_made_again(client: httpx.Client) -> None:
    client.put("/job/first", json={"script_name": "noop"})
    second = again(client, "first")
    third = again(client, second["_id"])
    assert third["rerun_of"] == second["_id"]
    found = client.post("/jobs", json={"rerun_of": "first"}).json()
    assert [job["_id"] for job in found["jobs"]] == [second["_id"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "finished"}, 400),
        ({"rerun_of": "x"}, 400),
        ({"provenance": {}}, 400),
        ({"_id": "x"}, 400),
        ({"pinned": 1}, 400),
        ([], 400),
    ],
)
def test_what_cannot_be_is_refused(server: Server, body: Any, status: int) -> None:
    server.client.put("/job/old", json={"script_name": "noop"})
    with server.unchanged():
        assert server.client.post("/job/old/rerun", json=body).status_code == status


def test_a_job_that_is_not_there_is_not_made_again(server: Server) -> None:
    with server.unchanged():
        for job_id in ("nothing", "5b864f7172f30c24dda84e15"):
            assert server.client.post(f"/job/{job_id}/rerun").status_code == 404
        assert server.client.post("/job/a.b/rerun").status_code == 400


def test_a_run_records_what_it_depended_on(client: httpx.Client, server: Server) -> None:
    job = run_through(client, script_name="summary", datafile="timeseries.csv")
    with Path(timeseries.__file__).open("rb") as file:
        version = hashlib.file_digest(file, "sha256").hexdigest()
    content = (server.data / "timeseries.csv").read_bytes()
    provenance = job["provenance"]
    script = {"type": "function", "name": "summary", "module": "jobserver.scripts"}
    assert provenance["script"] == {**script, "version": version}
    assert provenance["packages"] == {
        "python": platform.python_version(),
        "jobserver": jobserver.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
    }
    assert provenance["data"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    assert client.get("/script/summary").json()["version"] == version


def test_a_failure_and_a_crash_record_it_too(client: httpx.Client) -> None:
    failed = run_through(client, script_name="fail")
    assert failed["provenance"]["script"]["name"] == "fail"
    assert "data" not in failed["provenance"]
    limited = run_through(client, script={"name": "hold"}, timeout=0.3)
    assert limited["error"] == "Timeout"
    assert limited["provenance"]["script"]["name"] == "hold"


def test_raw_and_stored_data_have_a_checksum(client: httpx.Client) -> None:
    raw = run_through(client, script_name="echo", raw_data={"é": [1, 2.5]})
    text = '{"é":[1,2.5]}'.encode()
    expected = {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    assert raw["provenance"]["data"] == expected
    sums = []
    for value in ([1], [1], [2]):
        data_id = client.put("/data", json={"data": value}).json()["_id"]
        stored = run_through(client, script_name="echo", data={"type": "mongodb", "id": data_id})
        sums.append(stored["provenance"]["data"]["sha256"])
        client.delete(f"/data/{data_id}")
    assert sums[0] == sums[1] != sums[2]


def test_a_changed_script_has_another_version(client: httpx.Client, server: Server) -> None:
    path = server.home / "scripts" / "changing.py"
    versions = []
    for number in (1, 2):
        path.write_text(f"import httpx\n\ndef changing() -> int:\n    return {number}\n")
        job = run_through(client, script_name="changing")
        assert job["result"] == number
        assert job["provenance"]["packages"]["httpx"] == httpx.__version__
        versions.append(job["provenance"]["script"]["version"])
        assert versions[-1] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    assert len(set(versions)) == 2
