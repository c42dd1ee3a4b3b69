"""Data bound to jobs: what scripts get, and what is refused before they run."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.runs import WORKERS, all_busy
from tests.support.server import Job, Server, finished, run_through

TIMES = {"2018-09-05T17:24": 1.5, "2018-09-05T18:24": 2.5}
SHIPPED = {"type": "datafile", "name": "timeseries.csv"}


@pytest.fixture
def client(unruly: httpx.Client) -> Iterator[httpx.Client]:
    """A client of a server without data but the shipped file."""
    clear(unruly)
    yield unruly
    clear(unruly)


def clear(client: httpx.Client) -> None:
    """Delete data and data files."""
    for stored in client.get("/data").json()["data"]:
        client.delete(f"/data/{stored['_id']}")
    for file in client.get("/datafiles").json()["files"]:
        if file["name"] != "timeseries.csv":
            client.delete(f"/datafile/{file['name']}")


def upload(client: httpx.Client, name: str, content: bytes) -> None:
    """Send a file."""
    assert client.put(f"/datafile/{name}", files={"file": content}).status_code == 201


def store(client: httpx.Client, data: Any, **fields: Any) -> dict[str, Any]:
    """Store data; what a job binds it by."""
    stored = client.put("/data", json={"data": data, **fields}).json()
    return {"type": "mongodb", "id": stored["_id"]}


def result(client: httpx.Client, script: str, **fields: Any) -> Any:
    """What a script gives for some data."""
    job = run_through(client, script_name=script, **fields)
    assert job["state"] == "finished", job
    return job["result"]


def failure(client: httpx.Client, script: str, **fields: Any) -> Job:
    """A job that fails before its script begins."""
    job = run_through(client, script_name=script, **fields)
    assert job["state"] == "failed", job
    assert client.get(f"/job/{job['_id']}/log").text == ""
    return job


def refused(client: httpx.Client, **fields: Any) -> dict[str, str]:
    """Why a job is refused, by field."""
    job_id = client.put("/job", json={"script_name": "echo", **fields}).json()["_id"]
    answer = client.post(f"/job/{job_id}/run")
    assert answer.status_code == 422, answer.text
    assert client.get(f"/job/{job_id}").json()["state"] == "created"
    return {entry["field"]: entry["problem"] for entry in answer.json()["errors"]}


def test_three_spellings_of_each_kind(client: httpx.Client) -> None:
    stored = store(client, [1, 2, 3])
    for fields in ({"raw_data": [1, 2, 3]}, {"data": {"type": "raw_data", "data": [1, 2, 3]}}):
        assert result(client, "echo", **fields) == [1, 2, 3]
    assert result(client, "echo", data=stored) == [1, 2, 3]
    for file in ({"datafile": "timeseries.csv"}, {"data": SHIPPED}):
        assert result(client, "summary", **file)["value"]["count"] == 12000.0


def test_what_is_bound_is_told(client: httpx.Client) -> None:
    stored = store(client, TIMES, datatype="timeseries")
    job = run_through(client, script_name="kind_of", data=stored)
    assert job["data"] == {**stored, "datatype": "timeseries"}
    job = run_through(client, script_name="kind_of", data={**SHIPPED, "datatype": "series"})
    assert job["data"] == {
        **SHIPPED,
        "datatype": "series",
        "path": "data/timeseries.csv",
        "size": job["data"]["size"],
    }
    again = run_through(client, script_name="kind_of", data=job["data"])
    assert again["result"] == "Series"


@pytest.mark.parametrize(
    ("datatype", "data", "kind"),
    [
        ("dataframe", {"a": [1, 2]}, "DataFrame"),
        ("timeseries", TIMES, "DataFrame"),
        ("series", TIMES, "Series"),
        ("ndarray", [[1, 2], [3, 4]], "ndarray"),
        ("text", "a text", "str"),
        ("json", {"a": [1, 2]}, "dict"),
    ],
)
def test_datatypes(client: httpx.Client, datatype: str, data: Any, kind: str) -> None:
    raw = {"type": "raw_data", "datatype": datatype, "data": data}
    stored = store(client, data, datatype=datatype)
    plain = {**store(client, data), "datatype": datatype}
    for binding in (raw, stored, plain):
        assert result(client, "kind_of", data=binding) == kind


def test_times_are_times(client: httpx.Client) -> None:
    stored = store(client, TIMES, datatype="timeseries")
    file = {**SHIPPED, "datatype": "timeseries"}
    for data in (stored, file):
        shape = {"index": "DatetimeIndex", "columns": ["value"]}
        assert result(client, "index_of", data=data) == shape


def test_a_result_is_data_for_the_next_job(client: httpx.Client) -> None:
    job = run_through(client, script_name="echo", data={**SHIPPED, "datatype": "timeseries"})
    given = client.get(f"/job/{job['_id']}/result").json()
    stored = store(client, given, datatype="timeseries")
    assert result(client, "summary", data=stored)["value"]["count"] == 12000.0


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.csv", "Tag;Größe\n2018-09-05;1,5\n2018-09-06;2,5\n".encode("cp1252"), {}),
        ("a.tsv", "Tag\tGröße\n2018-09-05\t1.5\n".encode("utf-16"), {}),
        ("a.dat", b"# Tag value\n2018-09-05  1.5\n2018-09-06  2.5\n", {}),
        ("a.csv.gz", gzip.compress(b"t,v\n2018-09-05,1.5\n", mtime=0), {}),
        ("a.csv", b"t;v\n2018-09-05;1,234\n", {"decimal": ","}),
        ("a.txt", "t v\n2018-09-05 1.5\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
    ],
)
def test_tables(client: httpx.Client, name: str, content: bytes, options: dict[str, Any]) -> None:
    upload(client, name, content)
    data = {"type": "datafile", "name": name, **options}
    (described,) = result(client, "summary", data=data).values()
    assert described["min"] in (1.5, 1.234)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", b"t;v\n1;1,234\n", '"decimal"'),
        ("a.csv", b"1990,1991\n1,2\n", '"header"'),
        ("a.csv", b"a,b\n1,2,3,4\n", '"separator"'),
        ("a.csv", b"", "is empty"),
        ("a.png", b"\x89PNG", "pathlib.Path"),
        ("a.json", b'{"a": 1}', "datatype"),
        ("a.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-3], "damaged"),
    ],
)
def test_files_that_cannot_be_read(
    client: httpx.Client, name: str, content: bytes, expected: str
) -> None:
    upload(client, name, content)
    job = failure(client, "echo", datafile=name)
    assert job["message"].startswith(f"the data file {name} ")
    assert expected in job["message"]


def test_scripts_that_ask_for_a_path(client: httpx.Client) -> None:
    upload(client, "any.xml", b"<a/>")
    assert result(client, "text_at", datafile="any.xml") == ["any.xml", "<a/>"]
    assert result(client, "size_of", data=SHIPPED) > 500_000
    failed = run_through(client, script_name="complain", data=SHIPPED)
    assert failed["message"] == "ValueError: look at data/timeseries.csv"
    stored = store(client, "a text", datatype="text")
    for script, fields in (("size_of", {"data": stored}), ("text_at", {"raw_data": "/etc/passwd"})):
        assert "datafile" in failure(client, script, **fields)["message"]


@pytest.mark.parametrize(
    ("data", "field", "expected"),
    [
        ({"type": "mongodb", "id": "none"}, "data", "no data none"),
        ({"type": "mongodb", "id": "a.b"}, "data", "24 hexadecimal digits"),
        ({"type": "mongodb", "id": 1}, "data.id", "must be"),
        ({"type": "mongodb"}, "data.id", "must be"),
        ({"type": "mongodb", "id": "x", "name": "y"}, "data.name", "is unknown"),
        ({"type": "datafile", "name": "none.csv"}, "data", "no data file none.csv"),
        ({"type": "datafile"}, "data.name", "must be"),
        ({**SHIPPED, "datatype": "table"}, "data.datatype", "one of dataframe"),
        ({**SHIPPED, "seperator": ";"}, "data.seperator", "is unknown"),
        ({**SHIPPED, "sheet": 1}, "data.sheet", "does not apply to csv files"),
        ({"type": "raw_data", "data": [1], "skip": 1}, "data.skip", "does not apply to JSON"),
        ({**SHIPPED, "separator": "::"}, "data.separator", "must be"),
        ({**SHIPPED, "decimal": 1}, "data.decimal", "must be"),
        ({**SHIPPED, "header": "yes"}, "data.header", "true or false"),
        ({**SHIPPED, "encoding": "hex"}, "data.encoding", "encoding"),
        ({"type": "raw_data"}, "data.data", "is missing"),
        ({"type": "raw_data", "data": 1, "datatype": "text"}, "data.data", "not text"),
        ({"type": "raw_data", "data": 1, "datatype": "x"}, "data.datatype", "one of"),
        ({"type": "other"}, "data.type", "mongodb (with id)"),
        ({"type": ["datafile"]}, "data.type", "mongodb (with id)"),
        ("timeseries.csv", "data.type", "mongodb (with id)"),
        ("a b.csv", "data.type", '"data": {"type": "datafile", "name": "a b.csv"}'),
        (None, "data.type", "mongodb (with id)"),
    ],
)
def test_bindings_that_cannot_be(
    client: httpx.Client, data: Any, field: str, expected: str
) -> None:
    assert expected in refused(client, data=data)[field]


def test_data_is_bound_once(client: httpx.Client) -> None:
    problems = refused(client, data=store(client, 1), raw_data=2)
    assert "once" in problems["raw_data"]
    problems = refused(client, datafile="timeseries.csv", data=SHIPPED)
    assert "PATCH" in problems["datafile"]
    assert "data" not in problems


def test_a_misspelled_data_file_is_named(client: httpx.Client) -> None:
    for name in ("timeserie.csv", "TimeSeries.csv"):
        assert "Did you mean timeseries.csv?" in refused(client, datafile=name)["datafile"]
    assert "Did you mean" not in refused(client, datafile="other.dat")["datafile"]


def test_data_that_goes_before_its_run(client: httpx.Client, unruly_server: Server) -> None:
    stored = store(client, 1)
    with all_busy(unruly_server, WORKERS):
        job_id = client.put("/job", json={"script_name": "echo", "data": stored}).json()["_id"]
        assert client.post(f"/job/{job_id}/run").status_code == 202
        client.delete(f"/data/{stored['id']}")
    job = finished(client, job_id)
    assert (job["state"], job["error"]) == ("failed", "NotFound")
    assert stored["id"] in job["message"]


def test_large_data_reaches_its_script(client: httpx.Client) -> None:
    stored = store(client, list(range(500_000)), datatype="series")
    described = result(client, "summary", data=stored)["value"]
    assert (described["count"], described["max"]) == (500_000.0, 499_999.0)
    job = client.get("/jobs", params={"stringify": "false", "script": "summary"}).json()["jobs"][-1]
    assert job["data"] == {**stored, "datatype": "series"}
