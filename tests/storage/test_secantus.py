"""A server on SecantusDB answers as one on MongoDB does, and its home can be moved."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobserver.storage.embedded.choice import FALLBACK
from tests.support.server import MakeServer, Server, finished, run_through

pytestmark = pytest.mark.fallback

FILTERS: list[dict[str, Any]] = [
    {},
    {"number": 3},
    {"number": {"$gte": 3, "$lt": 6}},
    {"number": {"$in": [1, 5, "7"]}},
    {"number": {"$nin": [1, 5]}},
    {"number": {"$exists": False}},
    {"number": None},
    {"text": {"$ne": "b"}},
    {"text": {"$gt": "a"}},
    {"list": 2},
    {"list": {"$all": [1, 2]}},
    {"list": {"$size": 2}},
    {"part.name": "x"},
    {"part": {"name": "x"}},
    {"$or": [{"number": 1}, {"text": "c"}]},
    {"$and": [{"number": {"$gt": 1}}, {"$nor": [{"text": "b"}]}]},
    {"number": {"$not": {"$gt": 4}}},
    {"state": "created", "number": {"$lte": 2}},
]


def jobserver(*words: str | Path) -> str:
    """What a command printed."""
    line = [sys.executable, "-m", "jobserver", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fallback(make_server: MakeServer) -> Iterator[Server]:
    with make_server(MONGOD=FALLBACK) as server:
        yield server


@pytest.fixture(scope="module")
def usual(make_server: MakeServer) -> Iterator[Server]:
    """A server on the mongod that is found, also where there is a MongoDB for the tests."""
    with make_server(MONGOD="") as server:
        yield server


def fill(client: httpx.Client) -> None:
    """Create the jobs that the filters are tried on."""
    for number in range(8):
        fields: dict[str, Any] = {"number": number, "text": "abc"[number % 3]}
        fields |= {"list": [1, 2]} if number % 2 else {"part": {"name": "x"}}
        fields |= {"number": str(number)} if number == 7 else {}
        client.put(f"/job/f{number}", json=fields)
    client.put("/job/none", json={"other": 1})


def found(client: httpx.Client, query: dict[str, Any]) -> list[str]:
    """Ids of the jobs that a filter selects."""
    answer = client.post("/jobs", json=query)
    assert answer.status_code == 200, answer.text
    return [job["_id"] for job in answer.json()["jobs"]]


def test_line_at_the_start_names_what_serves(fallback: Server, usual: Server) -> None:
    assert "SecantusDB 0.7.0b3 (embedded, beta; use MongoDB in production)" in fallback.log
    assert re.search(
        r"mongod \d[\d.]+ \(embedded; use a MongoDB of your own in production\)", usual.log
    )


def test_jobs_and_their_fields_are_the_same(fallback: Server, usual: Server) -> None:
    for fields in (
        {"script_name": "summary", "datafile": "timeseries.csv"},
        {"script_name": "fail"},
    ):
        ran = [run_through(each.client, **fields) for each in (fallback, usual)]
        assert list(ran[0]) == list(ran[1])
        assert ran[0]["result"] == ran[1]["result"]
    for each in (fallback, usual):
        each.client.put("/job/merged", json={"z": 1})
        each.client.post("/job/merged", json={"y": 1, "b": 2, "a": 3})
    one, other = (list(each.client.get("/job/merged").json()) for each in (fallback, usual))
    assert one == other


def test_filters_and_pages_find_the_same(fallback: Server, usual: Server) -> None:
    for each in (fallback, usual):
        each.client.delete("/jobs")
        fill(each.client)
    for query in FILTERS:
        assert found(fallback.client, query) == found(usual.client, query), query
    pages = [each.client.get("/jobs", params={"limit": 4}).json() for each in (fallback, usual)]
    assert [job["_id"] for job in pages[0]["jobs"]] == [job["_id"] for job in pages[1]["jobs"]]
    assert pages[0]["found"] == pages[1]["found"]


def test_job_is_cancelled_and_deleted(fallback: Server) -> None:
    client = fallback.client
    job_id = client.put("/job", json={"script_name": "hold"}).json()["_id"]
    assert client.post(f"/job/{job_id}/run").status_code == 202
    assert client.post(f"/job/{job_id}/cancel").status_code == 202
    assert finished(client, job_id)["state"] == "cancelled"
    assert client.put("/data/mine", json={"data": [1], "datatype": "json"}).status_code == 201
    assert client.delete("/data/mine").status_code == 200


def test_home_moves_to_mongod(make_server: MakeServer, tmp_path: Path) -> None:
    with make_server(MONGOD=FALLBACK) as old:
        job = run_through(old.client, script_name="noop", kept="yes")
    archive = tmp_path / "home.zip"
    jobserver("export", archive, "--home", old.home)
    (old.home / "db").rename(old.home / "db.old")
    jobserver("import", archive, "--home", old.home)

    def take_home(home: Path) -> None:
        (old.home / "db").rename(home / "db")

    with make_server(prepare=take_home, MONGOD="") as new:
        assert new.client.get(f"/job/{job['_id']}?stringify=false").json() == job
        assert "mongod 6" in new.log


def test_streams_that_share_a_look_have_all_of_their_jobs(fallback: Server) -> None:
    found: dict[str, str] = {}

    def follow(job_id: str) -> None:
        found[job_id] = fallback.client.get(f"/job/{job_id}/events").text

    jobs = [fallback.client.put("/job", json={"script_name": "chatter"}) for _ in range(3)]
    readers = [threading.Thread(target=follow, args=(job.json()["_id"],)) for job in jobs]
    for reader in readers:
        reader.start()
    for job in jobs:
        ended = fallback.client.post(f"{job.headers['Location']}/run", params={"wait": 30})
        assert ended.json()["state"] == "finished"
    for reader in readers:
        reader.join()
    for job_id, text in found.items():
        pieces = re.findall(r"^data: (\{\"text\".*)$", text, re.M)
        printed = "".join(json.loads(piece)["text"] for piece in pieces)
        assert printed == fallback.client.get(f"/job/{job_id}/log").text != ""
        assert '"state":"finished"' in text
