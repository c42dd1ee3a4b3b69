"""Answers that are sent, and jobs that are changed, depending on what the client saw; patches."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api.test_datafile import CSV, upload
from tests.support.server import Job, Server, finished


def seen(client: httpx.Client, path: str) -> dict[str, str]:
    """The header that asks for a newer answer."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    return {"If-None-Match": answer.headers["ETag"]}


@pytest.mark.parametrize(
    "path", ["/job/a1", "/job/a1?stringify=false", "/datafile/a.csv", "/data/d1", "/jobs?limit=5"]
)
def test_what_has_not_changed_is_not_sent_again(client: httpx.Client, path: str) -> None:
    assert client.put("/job/a1", json={"note": 1}).status_code == 201
    assert upload(client, "a.csv").status_code == 201
    client.put("/data/d1", json={"data": [1]})
    headers = seen(client, path)
    for method in ("GET", "HEAD"):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == headers["If-None-Match"]


def test_what_has_changed_is_sent(client: httpx.Client) -> None:
    assert client.put("/job/a1", json={"note": 1}).status_code == 201
    headers = seen(client, "/job/a1")
    assert client.get("/job/a1?stringify=false", headers=headers).status_code == 200
    assert client.post("/job/a1", json={"note": 2}).status_code == 200
    answer = client.get("/job/a1", headers=headers)
    assert (answer.status_code, answer.json()["note"]) == (200, "2")
    assert answer.headers["ETag"] != headers["If-None-Match"]


def test_the_options_kept_with_a_file_change_its_tag(client: httpx.Client) -> None:
    assert upload(client, "a.csv", CSV).status_code == 201
    headers = seen(client, "/datafile/a.csv")
    kept = client.post("/datafile/a.csv", json={"options": {"separator": ","}})
    assert kept.status_code == 200
    assert client.get("/datafile/a.csv", headers=headers).status_code == 200


def etag(client: httpx.Client, job_id: str, query: str = "") -> dict[str, str]:
    """The header that asks for a change of a job as it is now."""
    return {"If-Match": client.get(f"/job/{job_id}{query}").headers["ETag"]}


CHANGES = ["POST /job/a1", "PATCH /job/a1", "DELETE /job/a1", "POST /job/a1/run"]


@pytest.mark.parametrize("request_line", CHANGES)
def test_a_job_that_changed_since_it_was_seen_stays_as_it_is(
    server: Server, request_line: str
) -> None:
    client = server.client
    assert (
        client.put("/job/a1", json={"script_name": "summary", "raw_data": [1]}).status_code == 201
    )
    headers = etag(client, "a1")
    assert client.post("/job/a1", json={"note": 1}).status_code == 200
    method, path = request_line.split()
    body = {"note": 2} if path == "/job/a1" and method != "DELETE" else None
    with server.unchanged():
        answer = client.request(method, path, headers=headers, json=body)
    assert answer.status_code == 412
    assert "GET /job/a1" in answer.json()["message"]
    for query in ("?stringify=false", "?typed=true"):  # each answer has a tag of its own
        fresh = etag(client, "a1", query)
    assert client.request(method, path, headers=fresh, json=body).status_code in (200, 202)


OTHERS = [
    ("/data/seen", "/data/seen", {"description": "new"}),
    ("/data/seen", "/data/seen?stringify=false", {"data": [3]}),
    ("/datafile/a.csv", "/datafile/a.csv", {"options": {"separator": ","}}),
    ("/datafile/a.csv", "/datafile/a.csv/content", {"options": {"separator": ","}}),
]


@pytest.mark.parametrize(("path", "shown", "change"), OTHERS)
def test_data_and_files_that_changed_since_they_were_seen_stay_as_they_are(
    client: httpx.Client, path: str, shown: str, change: dict[str, object]
) -> None:
    assert client.put("/data/seen", json={"data": [1]}).status_code == 201
    assert upload(client, "a.csv").status_code == 201
    old, before = {"If-Match": '"0123"'}, client.get(path).json()
    for method in ("POST", "DELETE"):
        body = change if method == "POST" else None
        answer = client.request(method, path, json=body, headers=old)
        assert answer.status_code == 412
        assert f"GET {path}" in answer.json()["message"]
    assert client.get(path).json() == before
    fresh = {"If-Match": client.get(shown).headers["ETag"]}
    assert client.post(path, json=change, headers=fresh).status_code == 200
    fresh = {"If-Match": client.get(shown).headers["ETag"]}
    assert client.delete(path, headers=fresh).status_code == 200
    client.delete("/data/seen")  # if that was the file


def test_of_many_changes_of_data_a_single_one_is_made(client: httpx.Client) -> None:
    assert client.put("/data/seen", json={"data": [1]}).status_code == 201
    headers = {"If-Match": client.get("/data/seen").headers["ETag"]}

    def change(number: int) -> int:
        body = {"description": str(number)}
        return client.post("/data/seen", json=body, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200] + [412] * 7
    client.delete("/data/seen")


@pytest.mark.parametrize("path", ["/job/a1/rerun", "/job/a1/cancel"])
def test_no_job_is_repeated_or_cancelled_as_it_is_no_more(server: Server, path: str) -> None:
    assert server.client.put("/job/a1", json={}).status_code == 201
    with server.unchanged():
        answer = server.client.post(path, headers={"If-Match": '"0123"'})
    assert answer.status_code == 412


@pytest.mark.parametrize("tags", ['"', ",", "", '"x'])
@pytest.mark.parametrize(
    "request_line",
    [
        *("POST /job/a1", "PATCH /job/a1", "DELETE /job/a1", "POST /job/a1/run", "GET /job/a1/run"),
        *("POST /job/a1/rerun", "POST /job/a1/cancel", "POST /data/d1", "DELETE /data/d1"),
        *("POST /datafile/a.csv", "DELETE /datafile/a.csv"),
    ],
)
def test_a_condition_without_a_tag_is_refused(server: Server, request_line: str, tags: str) -> None:
    server.client.put("/job/a1", json={"script_name": "noop"})
    server.client.put("/data/d1", json={"data": [1]})
    upload(server.client, "a.csv")
    with server.unchanged():
        answer = server.client.request(*request_line.split(), headers={"If-Match": tags})
    assert answer.status_code == 400
    assert "If-Match" in answer.json()["message"]


@pytest.mark.parametrize("tags", ["*", '"x"', '"'])
@pytest.mark.parametrize(
    "path",
    ["/info", "/datafile/a.csv/content", "/ui/jobs", "/ui/static/x/app.css", "/docs/docs.js"],
)
def test_what_is_only_read_needs_no_tag(client: httpx.Client, path: str, tags: str) -> None:
    assert upload(client, "a.csv").status_code == 201
    answer = client.get(path, headers={"If-Match": tags, "If-None-Match": '"y"'})
    assert answer.status_code == 200
    assert answer.content == client.get(path).content


def test_any_job_that_is_there_matches_a_star(client: httpx.Client) -> None:
    assert client.put("/job/a1", json={}).status_code == 201
    star = {"If-Match": "*"}
    assert client.post("/job/a1", json={"note": 1}, headers=star).status_code == 200
    assert client.post("/job/none", json={"note": 1}, headers=star).status_code == 404


def test_of_many_changes_of_one_state_a_single_one_is_made(client: httpx.Client) -> None:
    assert client.put("/job/a1", json={}).status_code == 201
    headers = etag(client, "a1")

    def change(number: int) -> int:
        return client.post("/job/a1", json={"note": number}, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200] + [412] * 7


PATCHES = [
    ({"note": 1, "left": 2}, {"note": None}, {"left": 2}),
    (
        {"a": {"b": 1, "c": 2}},
        {"a": {"b": None, "d": {"e": None, "f": 3}}},
        {"a": {"c": 2, "d": {"f": 3}}},
    ),
    ({"a": [1, 2]}, {"a": [None]}, {"a": [None]}),
    ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ({"pinned": True, "a": 1}, {"pinned": None, "b": False}, {"a": 1, "b": False}),
]


@pytest.mark.parametrize(("before", "patch", "after"), PATCHES)
@pytest.mark.parametrize("kind", ["application/json", "application/merge-patch+json"])
def test_a_patch_merges_and_null_removes(
    client: httpx.Client, before: Job, patch: Job, after: Job, kind: str
) -> None:
    assert client.put("/job/a1", json=before).status_code == 201
    answer = client.patch(
        "/job/a1?stringify=false", content=json.dumps(patch), headers={"Content-Type": kind}
    )
    assert answer.status_code == 200
    for job in (answer.json(), client.get("/job/a1?stringify=false").json()):
        assert {name: job.get(name) for name in after} == after
        assert not job.keys() & (before.keys() - after.keys())


def test_a_patch_of_what_the_server_sets_or_of_a_started_job_is_refused(server: Server) -> None:
    client = server.client
    assert (
        client.put("/job/a1", json={"script_name": "summary", "raw_data": [1]}).status_code == 201
    )
    with server.unchanged():
        assert client.patch("/job/a1", json={"result": None}).status_code == 400
        assert client.patch("/job/a1", json={}).status_code == 400
        assert client.patch("/job/none", json={"a": 1}).status_code == 404
    assert client.post("/job/a1/run").status_code == 202
    finished(client, "a1")
    with server.unchanged():
        assert client.patch("/job/a1", json={"a": 1}).status_code == 409
