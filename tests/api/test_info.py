from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

import jobserver
from jobserver.api import info
from jobserver.errors import Unauthorized
from jobserver.home.settings import Settings
from jobserver.users.policy import LOCAL, NOBODY, Actor, Role
from tests.support.server import Server, run_through


@pytest.mark.parametrize("path", ["/", "/info"])
def test_info_has_name_and_version(client: httpx.Client, path: str) -> None:
    answer = client.get(path).json()
    answer.pop("eval", None)  # of /info; tests/processes/test_code.py looks at it
    assert answer == {"status": 200, "message": answer["message"], "version": jobserver.__version__}


@pytest.mark.parametrize(
    ("login", "sender", "may"),
    [
        (False, LOCAL, True),
        (True, NOBODY, False),
        (True, Actor(role=Role.USER), False),
        (True, Actor(role=Role.ADMIN), True),
        (True, Unauthorized("The token is not valid."), False),
    ],
)
def test_where_the_cluster_is_concerns_admins_only(
    monkeypatch: pytest.MonkeyPatch, login: bool, sender: Actor | Unauthorized, may: bool
) -> None:
    def actor() -> Actor:
        if isinstance(sender, Unauthorized):
            raise sender
        return sender

    settings = Settings(home=Path(), LOGIN_REQUIRED=login)
    monkeypatch.setattr(info, "services", lambda: SimpleNamespace(settings=settings))
    monkeypatch.setattr(info, "actor", actor)
    assert info.may_see_cluster() is may


def test_health(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert answer.status_code == answer.json()["status"] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/jobs/", "/job/", "/job/a/b", "/info/", "/datafile/", "/datafiles/x"),
        *("/JOBS", "/job//x", "/datafile//etc/passwd", "/datafile/%2Fetc%2Fpasswd.csv"),
        *("/static/x", "/favicon.ico", "/%00", "/é", "/%ff", "/job/a%2Fb"),
    ],
)
def test_unknown_addresses(server: Server, path: str) -> None:
    with server.unchanged():
        for method in ("GET", "PUT", "POST", "DELETE"):
            answer = server.client.request(method, path, json={})
            assert answer.status_code == 404
            assert "/openapi.json" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/", "GET"),
        ("POST", "/info", "GET"),
        ("GET", "/job", "PUT"),
        ("POST", "/job", "PUT"),
        ("DELETE", "/job", "PUT"),
        ("TRACE", "/job/x", "DELETE, GET, PATCH, POST, PUT"),
        ("DELETE", "/job/x/run", "GET, POST, PUT"),
        ("PUT", "/jobs", "DELETE, GET, POST"),
        ("PATCH", "/datafile/a.csv", "DELETE, GET, POST, PUT"),
        ("POST", "/datafiles", "DELETE, GET"),
        ("TRACE", "/jobs", "DELETE, GET, POST"),
        ("FROB", "/jobs", "DELETE, GET, POST"),
    ],
)
def test_wrong_methods(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    listed = set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"}
    assert listed == set(allowed.split(", "))
    message = answer.json()["message"]
    assert message.startswith(method)
    assert all(each in message for each in listed)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_wrong_method_that_suits_the_path_above_is_named_with_it(
    client: httpx.Client, method: str
) -> None:
    answer = client.request(method, "/datafile/a.csv/content", content=b"1,2")
    assert answer.status_code == 405
    assert f"{method} /datafile/<name> (" in answer.json()["message"]


def test_every_wrong_method_is_answered_with_the_right_ones(server: Server) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    tried = 0
    for path, operations in paths.items():
        examples = {
            one["name"]: one["example"]
            for operation in operations.values()
            for one in operation["parameters"]
            if one["in"] == "path"
        }
        allowed = {method.upper() for method in operations}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = server.client.request(method, path.format(**examples))
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed
            pattern = re.sub(r"{(\w+)}", r"<\1>", path)
            assert all(f"{one} {pattern}" in answer.json()["message"] for one in allowed)
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        *(("/jobs/", "/jobs"), ("/job/a1/", "/job/a1"), ("/job//a1", "/job/a1")),
        *(("/Jobs", "/jobs"), ("/datafle/a.csv", "/datafile/a.csv"), ("/script", "/scripts")),
    ],
)
def test_a_path_that_is_nearly_right_is_named(client: httpx.Client, path: str, meant: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"].endswith(f"Did you mean {meant}?")


def test_a_wrong_method_is_told_what_the_others_do(client: httpx.Client) -> None:
    message = client.post("/job", json={}).json()["message"]
    assert "PUT /job (create a job" in message
    message = client.patch("/jobs", json={}).json()["message"]
    assert all(each in message for each in ("DELETE /jobs (delete", "GET /jobs (list", "POST"))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/", "/info", "/health", "/openapi.json", "/datafiles")),
        *(("GET", path) for path in ("/jobs", "/job/x", "/datafile/timeseries.csv")),
        *(("DELETE", path) for path in ("/job/x", "/jobs", "/datafiles", "/datafile/a.csv")),
        *(("PUT", path) for path in ("/job", "/job/x", "/job/x/run", "/datafile/a.csv")),
        *(("POST", path) for path in ("/job/x", "/job/x/run", "/jobs")),
    ],
)
def test_unknown_parameters_of_the_address(server: Server, method: str, path: str) -> None:
    with server.unchanged():
        answer = server.client.request(method, path, params={"strigify": "false"})
        assert answer.status_code == 400
        body = answer.json()
        assert [problem["field"] for problem in body["errors"]] == ["strigify"]
        assert "This endpoint takes" in body["message"]


@pytest.mark.parametrize(
    ("query", "field", "problem"),
    [
        ("stringify=maybe", "stringify", "must be true or false, not 'maybe'"),
        ("stringify=", "stringify", "must be true or false, not ''"),
        ("stringify", "stringify", "must be true or false, not ''"),
        ("stringify=%ff", "stringify", "must be true or false, not '%FF'"),
        ("stringify=true&stringify=false", "stringify", "is repeated"),
        ("&stringify[]=1", "stringify[]", "is unknown: did you mean stringify?"),
        ("=", "", "is unknown"),
        ("limit=0", "limit", "must be at least 1, not '0'"),
        ("sort=name", "sort", "must be 'created' or '-created', not 'name'"),
        ("state=done", "state", "must be 'created', 'queued', "),
    ],
)
def test_wrong_values_in_the_address(
    client: httpx.Client, query: str, field: str, problem: str
) -> None:
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 400
    body = answer.json()
    assert "This endpoint takes: stringify" in body["message"]
    assert body["errors"][0]["field"] == field
    assert body["errors"][0]["problem"].startswith(problem)


def test_stringify_may_come_with_any_request(client: httpx.Client) -> None:
    job_id = run_through(client, script_name="noop")["_id"]
    paths = ("/info", "/datafiles", "/datafile/timeseries.csv", "/scripts", f"/job/{job_id}/result")
    for method, path in [*(("GET", path) for path in paths), ("DELETE", f"/job/{job_id}")]:
        answer = client.request(method, path, params={"stringify": "false"})
        assert answer.status_code == 200, path


@pytest.mark.parametrize("query", ["stringify=false", "stringify=0", "stringify=False&"])
def test_right_values_in_the_address(client: httpx.Client, query: str) -> None:
    client.put("/job", json={"n": 1})
    assert client.get(f"/jobs?{query}").json()["jobs"][0]["n"] == 1


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/info", "/health", "/jobs", "/datafiles", "/openapi.json"),
        *("/datafile/timeseries.csv", "/datafile/timeseries.csv?format=json"),
    ],
)
def test_head_is_get_without_the_body(client: httpx.Client, path: str) -> None:
    answer, full = client.head(path), client.get(path)
    assert answer.status_code == full.status_code == 200
    assert answer.content == b""
    assert answer.headers["Content-Type"] == full.headers["Content-Type"]
    assert answer.headers.get("Content-Length") == full.headers.get("Content-Length")


def test_head_starts_no_job(client: httpx.Client) -> None:
    client.put("/job/still", json={"script_name": "noop"})
    assert client.head("/job/still/run").status_code == 405
    assert client.get("/job/still").json()["state"] == "created"


def test_head_of_a_stream_takes_no_permit(client: httpx.Client) -> None:
    client.put("/job/still", json={})
    for _ in range(30):
        assert client.head("/job/still/events").status_code == 200
    with client.stream("GET", "/job/still/events") as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/nothing", "/job/none", "/datafile/none.csv", "/job/a.b"])
def test_head_of_nothing(client: httpx.Client, path: str) -> None:
    answer = client.head(path)
    assert answer.status_code == client.get(path).status_code
    assert answer.content == b""


def test_options_tell_the_methods(client: httpx.Client) -> None:
    answer = client.options("/job/none")
    assert answer.status_code == 200
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST", "PUT", "DELETE"}
    assert answer.content == b""
