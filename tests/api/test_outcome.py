"""What a run leaves behind: log, result, events; and cancelling it."""

from __future__ import annotations

import httpx
import pytest

from tests.support.server import Server, finished, run_through, until


def test_log(client: httpx.Client) -> None:
    job = run_through(client, script_name="chatter")
    answer = client.get(f"/job/{job['_id']}/log")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    text = answer.text
    for line in ("printed 0\n", "printed 2\n", "complained\n", "logged\n"):
        assert line in text
    for offset in (0, 3, len(text) - 1, len(text), len(text) + 100):
        rest = client.get(f"/job/{job['_id']}/log", params={"offset": offset})
        assert rest.text == text[offset:]


def test_the_log_of_a_failure_ends_in_its_traceback(server: Server) -> None:
    client = server.client
    job = run_through(client, script={"name": "fail", "kwargs": {"text": "no water"}})
    text = client.get(f"/job/{job['_id']}/log").text
    assert text.endswith("ValueError: no water\n")
    assert 'File "scripts/trials.py", line' in text
    assert str(server.home) not in text


def test_a_job_that_did_not_run_has_an_empty_log(client: httpx.Client) -> None:
    client.put("/job/mine")
    assert client.get("/job/mine/log").text == ""


@pytest.mark.parametrize("offset", ["-1", "x", "", "1.5"])
def test_wrong_offsets(client: httpx.Client, offset: str) -> None:
    client.put("/job/mine")
    answer = client.get("/job/mine/log", params={"offset": offset})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "offset"


def test_result(client: httpx.Client) -> None:
    data = {"a": [1, 2.5, None, "x"], "b": {"c": True}}
    job = run_through(client, script_name="echo", raw_data=data)
    answer = client.get(f"/job/{job['_id']}/result")
    assert answer.json() == data
    empty = run_through(client, script_name="noop")
    assert client.get(f"/job/{empty['_id']}/result").json() is None


def test_no_result(client: httpx.Client) -> None:
    client.put("/job/fresh", json={"script_name": "noop"})
    failed = run_through(client, script_name="fail")["_id"]
    for job_id, state in (("fresh", "created"), (failed, "failed")):
        answer = client.get(f"/job/{job_id}/result")
        assert answer.status_code == 409
        assert state in answer.json()["message"]


@pytest.mark.parametrize("action", ["log", "result", "events", "run"])
def test_actions_of_unknown_jobs(client: httpx.Client, action: str) -> None:
    assert client.get(f"/job/unknown/{action}").status_code == 404
    assert client.get(f"/job/a.b/{action}").status_code == 400


def test_cancel(server: Server) -> None:
    client = server.client
    for name in ("a", "b", "c"):  # two workers: one of them waits
        client.put(f"/job/{name}", json={"script_name": "hold"})
        client.post(f"/job/{name}/run")
    until(lambda: client.get("/job/b").json()["state"] == "running")
    for name in ("c", "a"):
        assert client.post(f"/job/{name}/cancel").status_code == 202
        job = finished(client, name)
        assert (job["state"], job["error"], job["result"]) == ("cancelled", "Cancelled", None)


def test_what_cannot_be_cancelled(server: Server) -> None:
    client = server.client
    client.put("/job/fresh", json={"script_name": "noop"})
    done = run_through(client, script_name="noop")["_id"]
    with server.unchanged():
        for job_id in ("fresh", done):
            assert client.post(f"/job/{job_id}/cancel").status_code == 409
        for method in ("GET", "PUT", "DELETE"):
            assert client.request(method, f"/job/{done}/cancel").status_code == 405


def test_events(client: httpx.Client) -> None:
    job_id = run_through(client, script_name="advance")["_id"]
    with client.stream("GET", f"/job/{job_id}/events") as answer:
        assert answer.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        text = answer.read().decode()
    assert 'event: state\ndata: {"state":"finished"' in text
    assert text.endswith("\n\n")
