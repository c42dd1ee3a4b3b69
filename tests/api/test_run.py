"""Starting a job: what is checked before it is accepted, and what an acceptance means."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.server import Server, finished, run_through

METHODS = ("GET", "POST", "PUT")


def refused(server: Server, fields: dict[str, Any]) -> dict[str, str]:
    """The problems of a job that cannot run, by field; trying so changes nothing."""
    client = server.client
    client.put("/job/mine", json=fields)
    with server.unchanged():
        answer = client.post("/job/mine/run")
        assert answer.status_code == 422
    body = answer.json()
    problems = {problem["field"]: problem["problem"] for problem in body["errors"]}
    is_in_message = [text.rstrip(".") in body["message"] for text in problems.values()]
    assert all(is_in_message) if len(problems) == 1 else not any(is_in_message)
    assert client.get("/job/mine").json()["state"] == "created"
    assert client.delete("/job/mine").status_code == 200
    return problems


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_accepted_by_each_method(client: httpx.Client, method: str) -> None:
    client.put("/job/mine", json={"script_name": "summary", "datafile": "timeseries.csv"})
    answer = client.request(method, "/job/mine/run")
    assert answer.status_code == 202
    job = answer.json()
    assert job["script"] == {"name": "summary", "args": "[]", "kwargs": {}}
    assert job["data"].pop("size").endswith(" KB")
    path = {"type": "datafile", "name": "timeseries.csv", "path": "data/timeseries.csv"}
    assert job["data"] == path
    assert job["started"] != "None"
    assert job["finished"] == job["result"] == "None"
    done = finished(client, "mine")
    assert done["state"] == "finished"


def test_the_answer_of_a_run_may_be_native(client: httpx.Client) -> None:
    client.put("/job/mine", json={"script_name": "noop"})
    answer = client.post("/job/mine/run", params={"stringify": "false"})
    assert answer.json()["result"] is None
    assert answer.json()["script"] == {"name": "noop", "args": [], "kwargs": {}}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, {"script_name"}),
        ({"foo": 42}, {"script_name"}),
        ({"script_name": "nothing_like_it"}, {"script.name"}),
        ({"script_name": ""}, {"script.name"}),
        ({"script_name": None}, {"script.name"}),
        ({"script_name": 42}, {"script.name"}),
        ({"script_name": ["noop"]}, {"script.name"}),
        ({"script_name": {"name": "noop"}}, {"script.name"}),
        ({"script_name": "os.system"}, {"script.name"}),
        ({"script_name": "__import__"}, {"script.name"}),
        ({"script_name": "on_init"}, {"script.name"}),
        ({"script_name": "trials.Path"}, {"script.name"}),
        ({"script_name": "trials.GATE.touch"}, {"script.name"}),
        ({"script": "noop"}, {"script"}),
        ({"script": None}, {"script_name"}),
        ({"script": {}}, {"script.name"}),
        ({"script": {"name": "noop", "typ": "function"}}, {"script.typ"}),
        ({"script": {"name": "noop", "type": "function2"}}, {"script.type"}),
        ({"script": {"name": "noop", "type": ["function"]}}, {"script.type"}),
        ({"script": {"name": "noop", "args": {}}}, {"script.args"}),
        ({"script": {"name": "noop", "kwargs": []}}, {"script.kwargs"}),
        ({"script": {"name": "noop"}, "script_name": "add"}, {"script_name"}),
    ],
)
def test_scripts_that_cannot_run(server: Server, fields: dict[str, Any], wrong: set[str]) -> None:
    assert refused(server, fields).keys() == wrong


def test_an_unknown_script_names_its_neighbour(server: Server) -> None:
    problem = refused(server, {"script_name": "sumary"})["script.name"]
    assert "summary" in problem
    asked = server.client.get("/script/sumary")
    assert asked.status_code == 404
    assert asked.json()["message"] == f"The script {problem}"


def test_an_unknown_field_of_a_script_is_named_with_the_known_ones(server: Server) -> None:
    problem = refused(server, {"script": {"name": "noop", "kwarg": {}}})["script.kwarg"]
    assert "name, module, args, kwargs" in problem


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ({"args": []}, {"data"}),
        ({"args": ["x"]}, {"args[0]"}),
        ({"args": [True]}, {"args[0]"}),
        ({"args": [1.5]}, {"args[0]"}),
        ({"args": [None]}, {"args[0]"}),
        ({"args": [1, "x"]}, {"args[1]"}),
        ({"args": ["x", "y"]}, {"args[0]", "args[1]"}),
        ({"args": [1, 2, 3]}, {"args[2]"}),
        ({"args": [1], "kwargs": {"c": 1}}, {"kwargs.c"}),
        ({"args": [1], "kwargs": {"a": 1}}, {"kwargs.a"}),
        ({"args": [1], "kwargs": {"b": []}}, {"kwargs.b"}),
        ({"kwargs": {"a": 1, "b": "x", "c": 3}}, {"kwargs.b", "kwargs.c"}),
        ({"kwargs": {"b": "x", "c": 3}}, {"data", "kwargs.b", "kwargs.c"}),
    ],
)
def test_parameters_that_do_not_fit(
    server: Server, script: dict[str, Any], wrong: set[str]
) -> None:
    assert refused(server, {"script": {"name": "add", **script}}).keys() == wrong


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"datafile": "missing.csv"}, {"datafile"}),
        ({"datafile": 42}, {"datafile"}),
        ({"datafile": None}, {"datafile"}),
        ({"datafile": "../config.py"}, {"datafile"}),
        ({"datafile": "../data/timeseries.csv"}, {"datafile"}),
        ({"datafile": "/etc/passwd"}, {"datafile"}),
        ({"datafile": "timeseries.exe"}, {"datafile"}),
        ({"data": {"type": "datafile", "name": "../config.py"}}, {"data"}),
        ({"data": {"type": "datafile"}}, {"data.name"}),
        ({"data": {"type": "file", "name": "timeseries.csv"}}, {"data.type"}),
        ({"data": {"type": "raw_data"}}, {"data.data"}),
        ({"data": "timeseries.csv"}, {"data.type"}),
        ({"data": None}, {"data.type"}),
        ({"data": {}}, {"data.type"}),
        ({"datafile": "timeseries.csv", "raw_data": 1}, {"raw_data"}),
        ({}, {"data"}),
    ],
)
def test_data_that_is_missing(server: Server, data: dict[str, Any], wrong: set[str]) -> None:
    assert refused(server, {"script_name": "echo", **data}).keys() == wrong


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"timeout": 0}, {"timeout"}),
        ({"timeout": -1}, {"timeout"}),
        ({"timeout": "10"}, {"timeout"}),
        ({"timeout": True}, {"timeout"}),
        ({"timeout": None}, {"timeout"}),
        ({"retries": -1}, {"retries"}),
        ({"retries": 1.5}, {"retries"}),
        ({"retries": 101}, {"retries"}),
        ({"retries": True}, {"retries"}),
        ({"timeout": [], "retries": {}}, {"timeout", "retries"}),
    ],
)
def test_options_that_do_not_fit(server: Server, options: dict[str, Any], wrong: set[str]) -> None:
    assert refused(server, {"script_name": "noop", **options}).keys() == wrong


def test_near_misses_are_named(server: Server) -> None:
    assert "'scriptname'" in refused(server, {"scriptname": "noop"})["script_name"]
    assert "your own" not in refused(server, {"note": "noop"})["script_name"]
    for name in ("timeout", "retries"):
        assert "without quotes" in refused(server, {"script_name": "noop", name: "10"})[name]
        assert "without quotes" not in refused(server, {"script_name": "noop", name: -1})[name]


def test_all_reasons_are_reported_together(server: Server) -> None:
    script = {"name": "add", "args": ["x"], "kwargs": {"c": 1}}
    fields = {"script": script, "datafile": "missing.csv", "timeout": 0, "retries": "many"}
    wrong = refused(server, fields)
    assert {"datafile", "timeout", "retries", "kwargs.c"} <= wrong.keys()


def test_data_for_a_script_that_takes_none(server: Server) -> None:
    assert refused(server, {"script_name": "noop", "raw_data": [1]}).keys() == {"data"}


def test_no_client_names_the_file_that_a_script_opens(server: Server) -> None:
    assert refused(server, {"script": {"name": "size_of", "args": ["/etc/passwd"]}})
    assert refused(server, {"script": {"name": "size_of", "kwargs": {"file": "config.py"}}})


def test_a_field_named_like_a_parameter_is_reported_in_the_log(client: httpx.Client) -> None:
    job = run_through(client, script={"name": "add", "args": [1]}, b=40, note="mine", seed=1)
    assert job["result"] == 3
    log = client.get(f"/job/{job['_id']}/log").text
    assert '"b"' in log
    assert '"kwargs": {"b": ...}' in log
    assert "note" not in log
    meant = run_through(client, script={"name": "add", "args": [1], "kwargs": {"b": 40}}, b=40)
    assert client.get(f"/job/{meant['_id']}/log").text == ""


def test_a_refused_job_runs_once_it_is_mended(client: httpx.Client) -> None:
    client.put("/job/mine", json={"script_name": "add"})
    assert client.post("/job/mine/run").status_code == 422
    client.post("/job/mine", json={"script": {"name": "add", "args": [40]}})
    assert client.post("/job/mine/run").status_code == 202
    assert finished(client, "mine")["result"] == 42


@pytest.mark.parametrize("method", METHODS)
def test_a_job_starts_once(server: Server, method: str) -> None:
    client = server.client
    client.put("/job/mine", json={"script_name": "noop"})
    assert client.request(method, "/job/mine/run").status_code == 202
    assert client.request(method, "/job/mine/run").status_code == 409
    finished(client, "mine")
    with server.unchanged():
        for again in METHODS:
            answer = client.request(again, "/job/mine/run")
            assert answer.status_code == 409
            assert "has finished" in answer.json()["message"]
            assert "POST /job/mine/rerun" in answer.json()["message"]


def test_a_failure_is_reported(client: httpx.Client) -> None:
    job = run_through(client, script={"name": "fail", "kwargs": {"text": "no water"}})
    assert (job["state"], job["error"]) == ("failed", "ValueError")
    assert "no water" in job["message"]
    assert job["result"] is None


def test_raw_data_is_the_first_argument(client: httpx.Client) -> None:
    data = {"a": [1, 2.5, None, "x"], "deep": {"b": True}}
    for fields in ({"raw_data": data}, {"data": {"type": "raw_data", "data": data}}):
        job = run_through(client, script_name="echo", **fields)
        assert job["result"] == data


def test_no_absolute_path_in_a_job_that_ran(server: Server) -> None:
    client = server.client
    job = run_through(client, script_name="size_of", datafile="timeseries.csv")
    assert job["state"] == "finished"
    failed = run_through(client, script_name="fail")
    for path in (f"/job/{job['_id']}", f"/job/{failed['_id']}", f"/job/{failed['_id']}/log"):
        assert str(server.home) not in client.get(path).text
