"""EXECUTOR=thread: scripts run in the server itself, and what cannot be done is said."""

from __future__ import annotations

import io
import time

import httpx
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tests.conftest import END_SECONDS, MakeServer, Server, finished, until
from tests.runs.conftest import add_unruly, begin, carry_out, log_of, read, start
from tests.runs.test_results import give, shown
from tests.runs.yielding import table


def test_jobs_run(threads: httpx.Client, threads_server: Server) -> None:
    assert carry_out(threads, "add", a=1)["result"] == 3
    assert carry_out(threads, "summary", {"datafile": "timeseries.csv"})["state"] == "finished"
    assert carry_out(threads, "pid")["result"] == threads_server.process.pid
    assert carry_out(threads, "advance")["progress"] == 1.0
    assert carry_out(threads, "mark")["result"]["attempt"] == 1


def test_runs_record_what_they_depended_on(threads: httpx.Client) -> None:
    told = carry_out(threads, "summary", {"datafile": "timeseries.csv"})["provenance"]
    assert told["script"]["name"] == "summary"
    assert told["data"]["size"] > 500_000


def test_what_needs_a_process_is_refused(threads: httpx.Client) -> None:
    for script in ({"type": "file", "name": "nothing"}, {"type": "eval", "code": "1"}):
        job_id = threads.put("/job", json={"script": script}).json()["_id"]
        answer = threads.post(f"/job/{job_id}/run")
        assert answer.status_code == 422
        assert "EXECUTOR has to be local" in answer.json()["errors"][0]["problem"]
    assert threads.get("/info").json()["eval"] == {"allowed": False, "isolation": None}
    assert {each["type"] for each in threads.get("/scripts").json()["scripts"]} == {"function"}


def test_each_job_has_its_own_output(threads: httpx.Client) -> None:
    ids = [start(threads, "chatter", lines=number) for number in range(1, 9)]
    for number, job_id in enumerate(ids, 1):
        finished(threads, job_id)
        lines = log_of(threads, job_id).splitlines()
        printed = [f"printed {line}" for line in range(number)]
        assert lines == [*printed, "complained", "INFO chatter: logged"]


@pytest.mark.parametrize("how", ["exit", "interrupt", "odd", "surrogate"])
def test_whatever_a_script_raises_is_its_failure(threads: httpx.Client, how: str) -> None:
    job = carry_out(threads, "leave", how=how)
    assert job["state"] == "failed"
    assert "Traceback" in log_of(threads, job["_id"])


def test_cancel_says_what_it_cannot_do(threads: httpx.Client, threads_server: Server) -> None:
    job_id = begin(threads, "wait_for", name="cancelled")
    began = time.monotonic()
    answer = threads.post(f"/job/{job_id}/cancel")
    assert answer.status_code == 202
    assert "cannot stop a running script" in answer.json()["message"]
    job = finished(threads, job_id)
    assert time.monotonic() - began < 1.0
    assert job["state"] == "cancelled"
    (threads_server.home / "cancelled").touch()
    assert carry_out(threads, "noop")["state"] == "finished"
    assert read(threads, job_id) == job


def test_a_timeout_ends_the_job_and_keeps_its_slot(
    threads: httpx.Client, threads_server: Server
) -> None:
    job = carry_out(threads, "wait_for", {"timeout": 0.3}, name="late")
    assert job["message"] == "timeout of 0.3 s exceeded"
    (threads_server.home / "late").touch()
    assert carry_out(threads, "noop")["state"] == "finished"


def test_large_results_are_kept_too(threads: httpx.Client) -> None:
    job = give(threads, "table", rows=140_000)
    found = pd.read_csv(io.BytesIO(shown(threads, job, "csv")))
    assert_frame_equal(found, table(140_000), check_exact=True)


def test_a_script_that_never_ends_does_not_hold_up_the_end(make_server: MakeServer) -> None:
    with make_server(prepare=add_unruly, EXECUTOR="thread", SHUTDOWN_GRACE=0) as server:
        job_id = begin(server.client, "doze")
        server.client.post(f"/job/{job_id}/cancel")
        assert finished(server.client, job_id)["state"] == "cancelled"
        waiting = start(server.client, "noop")
        assert read(server.client, waiting)["state"] == "queued"
        server.terminate()
        assert server.process.wait(END_SECONDS / 2) == 0
        until(lambda: server.process.poll() is not None)
