"""The result of a job alone, in a format that fits it; and how long it stays."""

from __future__ import annotations

import csv
import io
import re
import sys
from pathlib import Path

import httpx
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tests.support.server import Job, Server, finished, run_through, until

TABLE = {"script_name": "echo", "datafile": "timeseries.csv"}
FORMATS = ("json", "csv", "html", "txt", "xlsx", "parquet", "png")
MEDIA_TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def get(client: httpx.Client, job_id: str, form: str) -> httpx.Response:
    return client.get(f"/job/{job_id}/result", params={"format": form})


def test_a_table_in_each_format(server: Server) -> None:
    client = server.client
    job_id = run_through(client, **TABLE)["_id"]
    given = list(csv.reader(io.StringIO((server.data / "timeseries.csv").read_text())))
    answer = get(client, job_id, "csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'inline; filename="{job_id}.csv"'
    found = list(csv.reader(io.StringIO(answer.text)))
    assert found[0] == given[0]
    assert [float(value) for _, value in found[1:]] == [float(value) for _, value in given[1:]]
    table = get(client, job_id, "json").json()
    assert table == client.get(f"/job/{job_id}/result").json()
    assert table["columns"] == given[0]
    assert [str(value) for value in table["data"]["value"]] == [row[1] for row in found[1:]]
    text = get(client, job_id, "txt")
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert [line.split("\t") for line in text.text.splitlines()] == found
    html = get(client, job_id, "html")
    assert html.headers["Content-Type"] == "text/html; charset=utf-8"
    assert html.text.count("<tr>") == len(found)


def test_a_summary_is_a_table(client: httpx.Client) -> None:
    job = run_through(client, script_name="summary", datafile="timeseries.csv")
    rows = list(csv.reader(io.StringIO(get(client, job["_id"], "csv").text)))
    assert rows[0] == ["", "value"]
    assert {label: float(cell) for label, cell in rows[1:]} == job["result"]["value"]
    assert get(client, job["_id"], "json").json() == job["result"]


def test_a_table_as_a_workbook_and_as_parquet(server: Server) -> None:
    client = server.client
    job_id = run_through(client, **TABLE)["_id"]
    expected = pd.read_csv(server.data / "timeseries.csv", parse_dates=["date"])
    for form, read in (("xlsx", pd.read_excel), ("parquet", pd.read_parquet)):
        answer = get(client, job_id, form)
        assert answer.headers["Content-Type"] == MEDIA_TYPES[form]
        disposition = answer.headers["Content-Disposition"]
        assert disposition == f'attachment; filename="{job_id}.{form}"'
        found = read(io.BytesIO(answer.content))
        assert_frame_equal(found, expected, check_dtype=False, check_exact=True)
        assert found["date"].dtype.kind == "M"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_web_process_loads_no_library_of_tables(server: Server) -> None:
    job_id = run_through(server.client, **TABLE)["_id"]
    for form in FORMATS[:6]:
        assert get(server.client, job_id, form).status_code == 200
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
    assert "libpython" in mapped or "python3" in mapped
    assert not re.findall(r"\S*(?:numpy|pandas|pyarrow)\S*", mapped)


@pytest.mark.parametrize("form", FORMATS[:6])
def test_nothing_in_a_result_runs_in_a_browser(client: httpx.Client, form: str) -> None:
    job_id = run_through(client, **TABLE)["_id"]
    headers = get(client, job_id, form).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize("form", FORMATS[1:])
def test_what_is_no_table_is_told(client: httpx.Client, form: str) -> None:
    job_id = run_through(client, script_name="echo", raw_data={"a": [1, 2]})["_id"]
    answer = get(client, job_id, form)
    assert answer.status_code == 415
    message = f"The result is not a table and cannot be shown as {form}, only as json."
    assert answer.json()["message"] == message


def test_a_text_as_text(client: httpx.Client) -> None:
    job_id = run_through(client, script_name="echo", raw_data="gr\u00fcn\n")["_id"]
    assert get(client, job_id, "txt").text == "gr\u00fcn\n"
    assert get(client, job_id, "json").json() == "gr\u00fcn\n"


@pytest.mark.parametrize("form", ["xml", "", "CSV", "pickle"])
def test_unknown_formats(client: httpx.Client, form: str) -> None:
    client.put("/job/mine")
    answer = get(client, "mine", form)
    assert answer.status_code == 400
    assert "'csv'" in answer.json()["errors"][0]["problem"]


@pytest.mark.parametrize("form", FORMATS)
def test_no_result_in_any_format(client: httpx.Client, form: str) -> None:
    client.put("/job/fresh")
    assert get(client, "fresh", form).status_code == 409
    assert get(client, "unknown", form).status_code == 404


def test_head(client: httpx.Client) -> None:
    job_id = run_through(client, **TABLE)["_id"]
    answer = client.head(f"/job/{job_id}/result", params={"format": "csv"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_a_job_may_be_pinned_at_any_time(client: httpx.Client) -> None:
    client.put("/job/mine", json={"script_name": "noop"})
    client.post("/job/mine/run")
    finished(client, "mine")
    for pinned in (True, False):
        answer = client.post("/job/mine", json={"pinned": pinned}, params={"stringify": "false"})
        assert answer.status_code == 200
        assert answer.json()["pinned"] is pinned
        assert answer.json()["state"] == "finished"
    assert client.post("/job/mine", json={"pinned": True, "note": 1}).status_code == 409
    assert client.post("/job/unknown", json={"pinned": True}).status_code == 404


@pytest.mark.parametrize("pinned", ["true", 1, None, [True]])
def test_pinned_is_true_or_false(client: httpx.Client, pinned: object) -> None:
    client.put("/job/mine", json={"pinned": False})
    for answer in (
        client.put("/job/other", json={"pinned": pinned}),
        client.post("/job/mine", json={"pinned": pinned}),
    ):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "pinned"


def test_jobs_are_deleted_some_time_after_their_end(public_server: Server) -> None:
    client = public_server.client
    client.delete("/jobs")
    client.put("/job/never_run")
    kept = run_through(client, script_name="noop", pinned=True)
    failed = run_through(client, script_name="fail")
    done = run_through(client, **TABLE)
    assert client.get(f"/job/{done['_id']}/result").status_code == 200

    def ids() -> set[str]:
        jobs: list[Job] = client.get("/jobs").json()["jobs"]
        return {job["_id"] for job in jobs}

    assert ids() >= {"never_run", kept["_id"], done["_id"]}
    until(lambda: ids() == {"never_run", kept["_id"]}, 20)
    assert client.get(f"/job/{failed['_id']}/log").status_code == 404
    assert client.post(f"/job/{kept['_id']}", json={"pinned": False}).status_code == 200
    until(lambda: ids() == {"never_run"}, 20)


def test_an_array_is_a_list_unless_its_type_is_asked_for(client: httpx.Client) -> None:
    data = {"type": "raw_data", "data": [[1, 2], [3, 4]], "datatype": "ndarray"}
    job = run_through(client, script_name="echo", data=data)
    assert client.get(f"/job/{job['_id']}").json()["result"] == "[[1, 2], [3, 4]]"
    array = {"type": "ndarray", "dtype": "int64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}
    for address, native in ((f"/job/{job['_id']}", {"stringify": "false"}), (None, {})):
        href = address or f"/job/{job['_id']}/result"
        plain, typed = (
            client.get(href, params={**native, "typed": typed}).json()
            for typed in ("false", "true")
        )
        assert (plain["result"] if address else plain) == data["data"]
        assert (typed["result"] if address else typed) == array
    listed = client.get("/jobs", params={"stringify": "false", "script": "echo"}).json()["jobs"]
    assert listed[-1]["result"] == data["data"]
