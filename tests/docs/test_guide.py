"""Every request in the user guide of 0.1.0 works, and every response has the documented shape."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import Server, until

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
ID = re.compile(r"[0-9a-f]{24}")
SIZE = re.compile(r"\d+ (B|KB|MB|GB|TB)")
NEW = ("_id", "created", "finished", "result", "started")
DATAFILE = {
    "name": "timeseries.csv",
    "path": "data/timeseries.csv",
    "size": "566 KB",
    "type": "datafile",
}
STATISTICS = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]

Job = dict[str, Any]


def leaves(value: Any) -> Iterator[Any]:
    """Yield every leaf of a response."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value


def shown(response: httpx.Response, status: int) -> Job:
    """Return the job in a response; every leaf of it is a string, as documented."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"
    job: Job = response.json()
    assert [leaf for leaf in leaves(job) if not isinstance(leaf, str)] == []
    return job


def ended(client: httpx.Client, address: str) -> Job:
    """Return the job once its result is there; the guide polls until then."""
    found: Job = until(
        lambda: job if (job := shown(client.get(address), 200))["finished"] != "None" else None, 30
    )
    return found


def curl(*arguments: str) -> str:
    command = ["curl", "--silent", "--show-error", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class TestSendingARequest:
    """Section 3.1."""

    def check(self, job: Job, foo: str) -> None:
        assert {*NEW, "foo"} <= job.keys()
        assert job["foo"] == foo
        assert job["finished"] == job["result"] == job["started"] == "None"
        assert TIME.fullmatch(job["created"])

    def test_put_a_job_with_an_id(self, client: httpx.Client) -> None:
        job = shown(client.put("/job/dk4me73jw6r", json={"foo": 42}), 201)
        assert job["_id"] == "dk4me73jw6r"
        self.check(job, "42")

    def test_put_the_same_with_requests(self, server: Server) -> None:
        code = (
            "import requests, sys\n"
            "payload = dict(foo='bar')\n"
            "address = f'{sys.argv[1]}/job/dk4me73jw6r'\n"
            "sys.stdout.buffer.write(requests.put(address, json=payload).content)"
        )
        command = [sys.executable, "-c", code, server.address]
        done = subprocess.run(command, check=True, capture_output=True)
        self.check(httpx.Response(200, content=done.stdout).json(), "bar")

    def test_put_the_same_with_curl(self, server: Server) -> None:
        header, data = "Content-Type: application/json", '{"foo": "bar"}'
        text = curl("-XPUT", "-H", header, "-d", data, f"{server.address}/job/dk4me73jw6r")
        self.check(httpx.Response(200, text=text).json(), "bar")

    def test_put_a_job_without_id_generates_one(self, client: httpx.Client) -> None:
        job = shown(client.put("/job", json={"foo": 42}), 201)
        assert ID.fullmatch(job["_id"])
        self.check(job, "42")

    @pytest.mark.parametrize(
        ("method", "address"),
        [
            ("GET", "/job/5b864f7172f30c24dda84e15"),
            ("POST", "/job/5b864f7172f30c24dda84e15"),
            ("DELETE", "/job/5b864f7172f30c24dda84e15"),
            ("GET", "/job/5b864f7172f30c24dda84e15/run"),
            ("GET", "/datafile/nothing.csv"),
            ("DELETE", "/datafile/nothing.csv"),
        ],
    )
    def test_what_does_not_exist_is_404(
        self, client: httpx.Client, method: str, address: str
    ) -> None:
        body = {"foo": 1} if method == "POST" else None
        answer = client.request(method, address, json=body)
        assert answer.status_code == 404
        assert answer.json()["status"] == 404


class TestManagingDataFiles:
    """Section 3.2."""

    def upload(self, client: httpx.Client, name: str, text: str = "a,b\n1,2\n") -> httpx.Response:
        return client.put(f"/datafile/{name}", files={"file": (name, text)})

    def test_get_describes_a_file(self, client: httpx.Client) -> None:
        answer = client.get("/datafile/timeseries.csv")
        assert answer.status_code == 200
        assert answer.json() == {key: DATAFILE[key] for key in ("name", "path", "size")}

    @pytest.mark.parametrize(
        ("form", "content_type", "start"),
        [
            ("csv", "text/csv", "date,value\n2017-01-01T00:00:00"),
            ("json", "application/json", '[{"date":"2017-01-01T00:00:00'),
            ("html", "text/html", "<"),
            ("txt", "text/plain", "date,value\n2017-01-01T00:00:00"),
        ],
    )
    def test_get_with_a_format_returns_the_content(
        self, client: httpx.Client, form: str, content_type: str, start: str
    ) -> None:
        answer = client.get("/datafile/timeseries.csv", params={"format": form})
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(content_type)
        assert answer.text.startswith(start)
        assert answer.text.count("2018-05-15T23:00:00") == 1  # the last of the 12,000 rows

    @pytest.mark.parametrize("method", ["PUT", "POST"])
    def test_upload_as_the_field_file(self, client: httpx.Client, method: str) -> None:
        answer = client.request(method, "/datafile/new.csv", files={"file": ("x", b"a\n1\n")})
        assert answer.status_code == 201
        assert answer.json().keys() == {"name", "path", "status", "message"}
        assert answer.json()["name"] == "new.csv"
        assert answer.json()["path"] == "data/new.csv"
        assert client.get("/datafile/new.csv", params={"format": "txt"}).text == "a\n1\n"

    def test_upload_with_curl(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "mine.csv").write_text("a\n1\n")
        address = f"{server.address}/datafile/mine.csv"
        curl("-XPUT", "-F", f"file=@{tmp_path / 'mine.csv'}", address)
        assert curl(f"{address}?format=txt") == "a\n1\n"

    def test_delete_does_not_ask_again(self, client: httpx.Client) -> None:
        answer = client.delete("/datafile/timeseries.csv")
        assert answer.status_code == 200
        assert answer.json().keys() == {"status", "acknowledged", "message"}
        assert client.get("/datafile/timeseries.csv").status_code == 404

    def test_csv_and_dat_are_two_files(self, client: httpx.Client) -> None:
        assert self.upload(client, "timeseries.dat").status_code == 201
        files = client.get("/datafiles").json()["files"]
        assert [file["name"] for file in files] == ["timeseries.csv", "timeseries.dat"]
        assert client.delete("/datafile/timeseries.dat").status_code == 200
        assert client.get("/datafile/timeseries.csv").status_code == 200

    @pytest.mark.parametrize("name", ["UPPER.CSV", "Mixed.CsV", "text.TXT"])
    def test_extensions_are_not_case_sensitive(self, client: httpx.Client, name: str) -> None:
        assert self.upload(client, name).status_code == 201
        assert client.get(f"/datafile/{name}").json()["name"] == name
        assert client.get(f"/datafile/{name}", params={"format": "csv"}).text == "a,b\n1,2\n"

    def test_only_registered_extensions_are_taken(self, client: httpx.Client) -> None:
        assert self.upload(client, "virus.exe").status_code == 415

    def test_datafiles_lists_all(self, client: httpx.Client) -> None:
        self.upload(client, "second.csv")
        answer = client.get("/datafiles").json()
        assert answer.keys() == {"found", "files"}
        assert answer["found"] == len(answer["files"]) == 2
        assert DATAFILE in answer["files"]
        assert all(file.keys() == DATAFILE.keys() for file in answer["files"])
        assert all(SIZE.fullmatch(file["size"]) for file in answer["files"])

    def test_delete_datafiles_deletes_all(self, client: httpx.Client) -> None:
        self.upload(client, "second.csv")
        assert client.delete("/datafiles").status_code == 200
        assert client.get("/datafiles").json() == {"found": 0, "files": []}


class TestManagingJobs:
    """Section 3.3."""

    def test_view_edit_delete(self, client: httpx.Client) -> None:
        job = shown(client.put("/job", json={"foo": 1}), 201)
        address = f"/job/{job['_id']}"
        edited = shown(client.post(address, json={"bar": [1, 2]}), 200)
        assert (edited["foo"], edited["bar"]) == ("1", "[1, 2]")
        assert TIME.fullmatch(edited["edited"])
        assert shown(client.get(address), 200) == edited
        assert client.delete(address).json()["acknowledged"] is True
        assert client.get(address).status_code == 404

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
    def test_run_takes_three_methods(self, client: httpx.Client, method: str) -> None:
        fields = {"script_name": "summary", "raw_data": [1, 2, 3]}
        address = f"/job/{client.put('/job', json=fields).json()['_id']}"
        assert shown(client.request(method, f"{address}/run"), 202)["started"] != "None"
        assert ended(client, address)["result"]["value"]["mean"] == "2.0"

    def test_jobs_lists_all(self, client: httpx.Client) -> None:
        ids = [client.put("/job", json={"n": n}).json()["_id"] for n in range(3)]
        answer = client.get("/jobs")
        jobs = answer.json()["jobs"]
        assert answer.json()["found"] == 3
        assert [job["_id"] for job in jobs] == ids
        assert [leaf for job in jobs for leaf in leaves(job) if not isinstance(leaf, str)] == []

    def test_delete_jobs_deletes_all(self, client: httpx.Client) -> None:
        for n in range(3):
            client.put("/job", json={"n": n})
        answer = client.delete("/jobs").json()
        assert (answer["acknowledged"], answer["deleted"], answer["total"]) == (True, 3, 3)
        assert client.get("/jobs").json() == {"found": 0, "jobs": []}


def test_basic_example(client: httpx.Client) -> None:
    """Section 3.4: the four steps."""
    job = shown(client.put("/job", json={"script_name": "summary"}), 201)
    assert {*NEW, "script_name"} <= job.keys()
    assert job["script_name"] == "summary"
    assert job["finished"] == job["result"] == job["started"] == "None"
    address = f"/job/{job['_id']}"

    edited = shown(client.post(address, json={"datafile": "timeseries.csv"}), 200)
    assert {*NEW, "script_name", "edited", "datafile"} <= edited.keys()
    assert edited["created"] == job["created"]
    assert edited["started"] == "None"

    began = time.monotonic()
    running = shown(client.get(f"{address}/run"), 202)
    assert {*edited, "data", "script"} <= running.keys()
    assert running["data"] == DATAFILE
    assert running["script"] == {"args": "[]", "kwargs": {}, "name": "summary"}
    assert TIME.fullmatch(running["started"])

    done = ended(client, address)
    assert time.monotonic() - began < 30
    assert done.keys() >= {*running, "time_sec"}
    assert list(done["result"]) == ["value"]
    value = done["result"]["value"]
    assert list(value) == STATISTICS
    assert value["count"] == "12000.0"
    numbers = [float(value[name]) for name in ("min", "25%", "50%", "75%", "max")]
    assert numbers == sorted(numbers)
    assert 40 < float(value["mean"]) < 40.5
    assert 12.5 < float(value["std"]) < 13
    for name in ("created", "started", "finished", "edited"):
        assert TIME.fullmatch(done[name])
    assert job["created"] <= running["started"] == done["started"] <= done["finished"]
    assert 0 <= float(done["time_sec"]) < 30
