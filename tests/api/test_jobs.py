from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Server, finished, run_through

NATIVE = {"stringify": "false"}


def ids(client: httpx.Client, selection: dict[str, Any] | None = None) -> list[str]:
    """Ids of the jobs that are listed, with the filter where there is one."""
    answer = client.get("/jobs") if selection is None else client.post("/jobs", json=selection)
    assert answer.status_code == 200, answer.text
    listed = answer.json()
    assert listed["found"] == len(listed["jobs"])
    return [job["_id"] for job in listed["jobs"]]


def test_no_jobs(client: httpx.Client) -> None:
    assert client.get("/jobs").json() == {"jobs": [], "found": 0}
    assert client.post("/jobs", json={"a": 1}).json() == {"jobs": [], "found": 0}


def test_all_jobs_oldest_first(client: httpx.Client) -> None:
    for number in range(30):
        client.put(f"/job/{(number * 7) % 30}", json={"number": number})
    assert ids(client) == [str((number * 7) % 30) for number in range(30)]


def test_jobs_are_listed_as_they_are_read(client: httpx.Client) -> None:
    job_id = run_through(client, script={"name": "add", "args": [1]})["_id"]
    client.put("/job/fresh", json={"deep": {"a": [1, None]}})
    for params in ({}, NATIVE):
        listed = client.get("/jobs", params=params).json()["jobs"]
        names = (job_id, "fresh")
        assert listed == [client.get(f"/job/{name}", params=params).json() for name in names]
        assert "_run" not in listed[0]


def test_a_long_list_is_whole(client: httpx.Client) -> None:
    text = "x" * 50_000
    for number in range(60):
        client.put(f"/job/{number}", json={"text": text, "number": number})
    listed = client.get("/jobs", params=NATIVE).json()
    assert [job["number"] for job in listed["jobs"]] == list(range(60))
    assert listed["found"] == 60


@pytest.fixture
def rows(client: httpx.Client) -> httpx.Client:
    """A client of a server with three jobs: one, two and three."""
    client.put("/job/one", json={"n": 1, "tag": "x", "deep": {"a.b": 1, "k": [1, 2]}})
    client.put("/job/two", json={"n": 2, "tag": "y", "deep": {"k": [2, 3]}, "none": None})
    client.put("/job/three", json={"n": 3.5, "tag": "x", "text": "2", "script_name": "noop"})
    return client


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        ({}, "one two three"),
        ({"n": 1}, "one"),
        ({"n": "1"}, ""),
        ({"tag": "x", "n": {"$gt": 1}}, "three"),
        ({"n": {"$gte": 1, "$lt": 3}}, "one two"),
        ({"n": {"$in": [1, 3.5]}}, "one three"),
        ({"n": {"$nin": [1, 3.5]}}, "two"),
        ({"deep.k": 2}, "one two"),
        ({"deep.k": {"$all": [2, 3]}}, "two"),
        ({"deep.k": {"$size": 2}}, "one two"),
        ({"text": {"$exists": True}}, "three"),
        ({"none": None}, "one two three"),
        ({"none": {"$exists": True}}, "two"),
        ({"$or": [{"n": 1}, {"tag": "y"}]}, "one two"),
        ({"$and": [{"tag": "x"}, {"n": {"$ne": 1}}]}, "three"),
        ({"$nor": [{"tag": "x"}]}, "two"),
        ({"n": {"$not": {"$gt": 1}}}, "one"),
        ({"_id": "two"}, "two"),
        ({"_id": {"$in": ["one", "three"]}}, "one three"),
        ({"state": "created"}, "one two three"),
        ({"state": "finished"}, ""),
        ({"started": None}, "one two three"),
        ({"started": "None"}, "one two three"),
        ({"created": {"$gt": "2018-09-05"}}, "one two three"),
        ({"created": {"$lt": "2018-09-05T00:00:00Z"}}, ""),
        ({"script_name": "noop"}, "three"),
    ],
)
def test_filters(rows: httpx.Client, selection: dict[str, Any], found: str) -> None:
    assert ids(rows, selection) == found.split()


def test_filters_take_ids_and_times_as_answers_show_them(rows: httpx.Client) -> None:
    made = rows.put("/job", json={"a": 1}).json()
    assert ids(rows, {"_id": made["_id"]}) == [made["_id"]]
    assert ids(rows, {"created": made["created"]}) == [made["_id"]]
    native = rows.get(f"/job/{made['_id']}", params=NATIVE).json()
    assert ids(rows, {"created": native["created"]}) == [made["_id"]]


def test_the_state_is_a_field_like_any_other(client: httpx.Client) -> None:
    done, failed = (run_through(client, script_name=name)["_id"] for name in ("noop", "fail"))
    assert ids(client, {"state": "finished"}) == [done]
    assert ids(client, {"state": {"$in": ["failed", "cancelled"]}}) == [failed]
    assert ids(client, {"error": "ValueError"}) == [failed]


@pytest.mark.parametrize(
    ("selection", "field"),
    [
        ({"$where": "sleep(1000)"}, "$where"),
        ({"a": {"$where": "1"}}, "a.$where"),
        ({"a": {"$regex": "(a+)+$"}}, "a.$regex"),
        ({"$expr": {"$gt": ["$a", 1]}}, "$expr"),
        ({"$or": []}, "$or"),
        ({"$or": [{"a": {"$function": 1}}]}, "$or.0.a.$function"),
        ({"$comment": "x"}, "$comment"),
        ({"a": {"$gt": [1]}}, "a.$gt"),
        ({"a": {"$in": 1}}, "a.$in"),
        ({"a": {"$size": -1}}, "a.$size"),
        ({"a": {"$exists": "yes"}}, "a.$exists"),
        ({"_run": {"$exists": True}}, "_run"),
        ({"_run.key": 1}, "_run.key"),
        ({"created": "yesterday"}, "created"),
        ({"state": "done"}, "state"),
        ({"state": {"$in": ["failed", "done"]}}, "state.$in.1"),
        ({"state": 1}, "state"),
        ({"a": {"$gt": 1, "b": 2}}, "a.b"),
        ({"n": {"$in": list(range(101))}}, "n.$in"),
        ({"$and": [{"$and": [{"$and": [{"$and": [{"$and": [{"a": 1}]}]}]}]}]}, None),
        ({"$or": [{"a": number} for number in range(51)]}, None),
    ],
)
def test_filters_that_are_refused(
    rows: httpx.Client, selection: dict[str, Any], field: str | None
) -> None:
    answer = rows.post("/jobs", json=selection)
    assert answer.status_code == 400
    problems = answer.json()["errors"]
    fields = [problem["field"] for problem in problems]
    assert fields == [field] if field else len(fields) == 1
    if "state" in selection:
        assert problems[0]["problem"].endswith("running, finished, failed, cancelled")


def test_delete_all(rows: httpx.Client) -> None:
    answer = rows.delete("/jobs").json()
    assert answer == {
        "status": 200,
        "acknowledged": True,
        "deleted": 3,
        "total": 3,
        "message": answer["message"],
    }
    assert ids(rows) == []
    again = rows.delete("/jobs").json()
    assert (again["deleted"], again["total"], again["acknowledged"]) == (0, 0, True)


@pytest.mark.parametrize("path", ["/jobs", "/datafiles"])
def test_what_deletes_all_takes_no_filter(server: Server, path: str) -> None:
    client = server.client
    client.put("/job/kept", json={})
    with server.unchanged():
        answer = client.request("DELETE", path, json={"state": "created"})
        assert answer.status_code == 400
        assert "takes no filter" in answer.json()["message"]
        assert client.request("DELETE", path, content=b"state=created").status_code == 415
    assert client.request("DELETE", path, json={}).status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", None])
@pytest.mark.parametrize("content", [b"", b"{}", b" \n", b"null", b"[]", b'""'])
def test_a_body_with_nothing_in_it_is_ignored_where_none_is_taken(
    client: httpx.Client, content: bytes, kind: str | None
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = client.request("GET", "/jobs", content=content, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("content", [b'{"state": "finished"}', b"state=finished", b"1"])
def test_a_body_that_a_get_would_drop_is_refused_and_sent_where_it_counts(
    client: httpx.Client, content: bytes
) -> None:
    headers = {"Content-Type": "application/json" if content[:1] == b"{" else "text/plain"}
    answer = client.request("GET", "/jobs", content=content, headers=headers)
    assert answer.status_code in (400, 415)
    assert "POST /jobs" in answer.json()["message"]


def test_delete_leaves_what_is_queued_or_running(server: Server) -> None:
    client = server.client
    for name in ("a", "b", "c"):  # two workers: one of them waits
        client.put(f"/job/{name}", json={"script_name": "hold"})
        client.post(f"/job/{name}/run")
    client.put("/job/d", json={})
    answer = client.delete("/jobs").json()
    assert (answer["deleted"], answer["total"], answer["acknowledged"]) == (1, 4, False)
    assert ids(client) == ["a", "b", "c"]
    (server.home / "gate").touch()
    for name in ("a", "b", "c"):
        assert finished(client, name)["state"] == "finished"
    assert client.delete("/jobs").json()["deleted"] == 3


def test_more_jobs_than_are_deleted_at_once(client: httpx.Client) -> None:
    for number in range(210):
        client.put(f"/job/{number}")
    answer = client.delete("/jobs").json()
    assert (answer["deleted"], answer["total"]) == (210, 210)
    assert ids(client) == []
