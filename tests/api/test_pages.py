"""Parts of the list of jobs: pages, fields, order, state and script."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Server, run_through

NAMES = [f"job{number:02}" for number in range(25)]


@pytest.fixture
def rows(client: httpx.Client) -> httpx.Client:
    """A client of a server with 25 jobs."""
    for number, name in enumerate(NAMES):
        client.put(f"/job/{name}", json={"number": number, "odd": number % 2, "deep": {"a": 1}})
    return client


def follow(client: httpx.Client, address: str, body: object = None) -> list[list[str]]:
    """Ids of the jobs on each page, going from link to link."""
    pages = []
    while address:
        answer = client.get(address) if body is None else client.post(address, json=body)
        listed = answer.json()
        pages.append([job["_id"] for job in listed["jobs"]])
        address = listed.get("next", "")
    return pages


def walk(client: httpx.Client, body: object = None, **params: Any) -> list[list[str]]:
    """Ids of the jobs on each page of a list."""
    return follow(client, str(httpx.URL("/jobs", params=params)), body)


@pytest.mark.parametrize("limit", [1, 7, 24, 25, 26, 1000])
@pytest.mark.parametrize("sort", ["created", "-created"])
def test_pages_hold_every_job_once(rows: httpx.Client, limit: int, sort: str) -> None:
    pages = walk(rows, limit=limit, sort=sort)
    expected = NAMES if sort == "created" else NAMES[::-1]
    assert [name for page in pages for name in page] == expected
    assert {len(page) for page in pages[:-1]} <= {limit}


def test_a_page_has_the_total_number(rows: httpx.Client) -> None:
    listed = rows.get("/jobs", params={"limit": 7}).json()
    assert (listed["found"], len(listed["jobs"])) == (25, 7)
    assert listed["next"].startswith("/jobs?")
    last = rows.get("/jobs", params={"limit": 25}).json()
    assert "next" not in last


def test_pages_of_a_filter(rows: httpx.Client) -> None:
    pages = walk(rows, {"odd": 1}, limit=5, sort="-created")
    assert [name for page in pages for name in page] == NAMES[1::2][::-1]


def test_pages_stay_right_while_jobs_come_and_go(rows: httpx.Client) -> None:
    first = rows.get("/jobs", params={"limit": 10}).json()
    rows.delete(f"/job/{NAMES[3]}")
    rows.delete(f"/job/{NAMES[9]}")  # the last of the page
    rows.put("/job/late", json={})
    rest = [name for page in follow(rows, first["next"]) for name in page]
    assert rest == [*NAMES[10:], "late"]


def test_the_whole_list_may_be_turned_round(rows: httpx.Client) -> None:
    listed = rows.get("/jobs", params={"sort": "-created"}).json()
    assert [job["_id"] for job in listed["jobs"]] == NAMES[::-1]


def test_fields(rows: httpx.Client) -> None:
    for extra in ("", "&limit=25"):
        listed = rows.get(f"/jobs?fields=number, deep.a&stringify=false{extra}").json()
        assert listed["jobs"][3] == {"_id": NAMES[3], "number": 3, "deep": {"a": 1}}
        assert listed["found"] == 25
    strings = rows.get("/jobs", params={"fields": "number"}).json()["jobs"]
    assert strings[3] == {"_id": NAMES[3], "number": "3"}
    assert rows.get("/jobs?fields=none").json()["jobs"][0] == {"_id": NAMES[0]}
    assert rows.get("/jobs?fields=created").json()["jobs"][0].keys() == {"_id", "created"}
    assert rows.get("/jobs?fields=,").status_code == 400
    assert rows.get("/jobs?fields=_id,_id").json()["jobs"][0].keys() == {"_id"}
    assert rows.get("/jobs?fields=deep.a,deep").json()["jobs"][0]["deep"] == {"a": "1"}


@pytest.mark.parametrize(
    "fields",
    ["_run", "_run.key", "$where", "a,,$b", "a.$b", "created.a", "_id.a", "a." * 200 + "a"],
)
def test_fields_that_are_refused(rows: httpx.Client, fields: str) -> None:
    answer = rows.get(f"/jobs?fields={fields}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "fields"


@pytest.mark.parametrize("time", ["0001-01-01", "1969-12-31T23:59:59", "9999-12-31T23:59:59.999"])
def test_cursors_at_the_ends_of_time(rows: httpx.Client, time: str) -> None:
    for sort in ("created", "-created"):
        pages = walk(rows, after=f"{time}~{NAMES[5]}", sort=sort, limit=1000)
        after = (time < "2000") == (sort == "created")
        assert pages == [(NAMES if sort == "created" else NAMES[::-1]) if after else []]


def test_state_and_script(client: httpx.Client) -> None:
    done = run_through(client, script_name="noop")["_id"]
    failed = run_through(client, script={"name": "fail"})["_id"]
    client.put("/job/fresh", json={"script_name": "noop"})
    assert walk(client, state="created") == [["fresh"]]
    assert walk(client, state="finished") == [[done]]
    assert walk(client, state="failed", script="fail") == [[failed]]
    assert walk(client, script="noop") == [[done, "fresh"]]
    assert walk(client, script="noop", state="failed") == [[]]
    assert walk(client, {"state": "created"}, script="noop", limit=5) == [["fresh"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "-1", "1001", "ten", "", "1.5")),
        *(("sort", value) for value in ("number", "", "created,-created", "_id")),
        *(("state", value) for value in ("done", "", "CREATED", "created,failed")),
        *(("after", value) for value in ("x", "2018-09-05", "~", "2018-09-05~a.b", "x~job01")),
        ("fields", ""),
    ],
)
def test_wrong_values(server: Server, name: str, value: str) -> None:
    for method in ("GET", "POST"):
        answer = server.client.request(method, "/jobs", params={name: value})
        assert answer.status_code == 400, (name, value)
        body = answer.json()
        assert name in body["message"] or body["errors"][0]["field"] == name
