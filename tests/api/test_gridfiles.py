"""Data files in the database: the same requests, the same answers, nothing on the disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.support.server import MakeServer, Server, finished, run_through

CSV = b"date;value\n2018-09-05;1,5\n2018-09-06;\n"
LIMIT = 5_000_000


@pytest.fixture(scope="module")
def grid(make_server: MakeServer) -> Iterator[Server]:
    """A server that keeps data files in the database."""
    with make_server(DATAFILE_STORAGE="gridfs", MAX_UPLOAD_SIZE=LIMIT) as server:
        yield server


@pytest.fixture
def client(grid: Server) -> Iterator[httpx.Client]:
    """A client of that server; nothing of what it does goes to the disk."""
    before = {path: path.stat().st_mtime_ns for path in grid.data.iterdir()}
    yield grid.client
    grid.client.delete("/datafiles")
    assert {path: path.stat().st_mtime_ns for path in grid.data.iterdir()} == before
    assert grid.process.poll() is None, grid.log


def upload(client: httpx.Client, name: str, content: bytes = CSV) -> httpx.Response:
    """Send a file."""
    return client.put(f"/datafile/{name}", files={"file": ("local", content)})


def test_a_file_comes_and_goes(client: httpx.Client) -> None:
    assert client.get("/datafiles").json() == {"found": 0, "files": []}
    assert upload(client, "mine.csv").json()["path"] == "gridfs/mine.csv"
    info = {"name": "mine.csv", "path": "gridfs/mine.csv", "size": f"{len(CSV)} B"}
    assert client.get("/datafile/mine.csv").json() == info
    assert client.get("/datafiles").json()["files"] == [{"type": "datafile", **info}]
    assert client.get("/datafile/mine.csv", params={"format": "csv"}).content == CSV
    assert upload(client, "mine.csv", b"other").status_code == 409
    assert client.get("/datafile/mine.csv", params={"format": "txt"}).content == CSV
    assert client.delete("/datafile/mine.csv").status_code == 200
    assert client.get("/datafile/mine.csv").status_code == 404
    assert client.delete("/datafile/mine.csv").status_code == 404
    assert upload(client, "mine.csv").status_code == 201


def test_the_rules_of_names_hold(client: httpx.Client) -> None:
    assert upload(client, "timeseries.csv").status_code == 201  # not the one on the disk
    assert upload(client, "a.exe").status_code == 415
    assert upload(client, ".a.csv").status_code == 400
    for name in ("b.csv", "a.csv", "A.csv"):
        assert upload(client, name).status_code == 201
    names = [file["name"] for file in client.get("/datafiles").json()["files"]]
    assert names == ["A.csv", "a.csv", "b.csv", "timeseries.csv"]
    assert client.delete("/datafiles").json()["deleted"] == 4


def test_formats(client: httpx.Client) -> None:
    upload(client, "mine.csv")
    rows = [{"date": "2018-09-05", "value": 1.5}, {"date": "2018-09-06", "value": None}]
    assert client.get("/datafile/mine.csv", params={"format": "json"}).json() == rows
    shown = client.get("/datafile/mine.csv", params={"format": "html"}).text
    assert "<td>2018-09-05</td><td>1.5</td>" in shown


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 1])
def test_content_comes_back_as_sent(client: httpx.Client, size: int) -> None:
    content = os.urandom(size)
    assert upload(client, "any.npy", content).status_code == 201
    assert client.get("/datafile/any.npy", params={"format": "txt"}).content == content


def test_a_file_over_the_limit_leaves_nothing(client: httpx.Client) -> None:
    assert upload(client, "large.csv", b"x" * (LIMIT + 1)).status_code == 413
    assert client.get("/datafiles").json()["found"] == 0
    assert upload(client, "large.csv", b"x" * LIMIT).status_code == 201


def test_a_name_is_given_once(client: httpx.Client) -> None:
    contents = [bytes([number]) * 300_000 for number in range(6)]
    codes: list[int] = []

    def send(content: bytes) -> None:
        codes.append(upload(client, "a.csv", content).status_code)

    threads = [threading.Thread(target=send, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [201, *[409] * 5]
    assert client.get("/datafile/a.csv", params={"format": "txt"}).content in contents


def test_scripts_get_files_of_the_database(client: httpx.Client) -> None:
    upload(client, "mine.csv")
    job = run_through(client, script_name="summary", datafile="mine.csv")
    assert job["result"]["value"]["count"] == 1.0
    assert job["data"]["path"] == "gridfs/mine.csv"
    assert run_through(client, script_name="size_of", datafile="mine.csv")["result"] == len(CSV)


def test_a_file_that_goes_before_its_run(grid: Server, client: httpx.Client) -> None:
    upload(client, "mine.csv")
    holder = client.put("/job", json={"script_name": "hold"}).json()["_id"]
    client.post(f"/job/{holder}/run")
    waiting = client.put("/job", json={"script_name": "summary", "datafile": "mine.csv"}).json()
    assert client.post(f"/job/{waiting['_id']}/run").status_code == 202
    client.delete("/datafile/mine.csv")
    client.post(f"/job/{holder}/cancel")
    job = finished(client, waiting["_id"])
    assert (job["state"], job["error"]) == ("failed", "NotFound")
    assert "mine.csv" in job["message"]
