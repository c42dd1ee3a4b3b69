"""``POST /job/<id>/cancel`` ends a run within a second, whatever it does."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.support.runs import (
    WORKERS,
    all_busy,
    begin,
    below,
    cancel,
    carry_out,
    create,
    log_of,
    read,
    start,
)
from tests.support.scripts.unruly import ENDLESS
from tests.support.server import Server, finished, until

NAMES = [script.__name__ for script in ENDLESS]


@pytest.mark.parametrize("script", NAMES)
def test_a_run_ends_within_a_second(
    unruly: httpx.Client, unruly_server: Server, script: str
) -> None:
    job_id = begin(unruly, script)
    began = time.monotonic()
    job = cancel(unruly, job_id)
    assert time.monotonic() - began < 1.0
    assert (job["state"], job["error"]) == ("cancelled", "Cancelled")
    assert job["message"] == "cancelled while it ran"
    assert job["result"] is None
    assert job["finished"] > job["started"]
    until(lambda: not below(unruly_server.home), 1.0)


def test_a_cancelled_queued_job_never_runs(unruly: httpx.Client, unruly_server: Server) -> None:
    with all_busy(unruly_server, WORKERS):
        job_id = start(unruly, "sign", name="never")
        job = cancel(unruly, job_id)
        assert (job["state"], job["message"]) == ("cancelled", "cancelled before it started")
    carry_out(unruly, "noop")
    assert not (unruly_server.home / "never").exists()
    assert read(unruly, job_id) == job


def test_only_queued_and_running_jobs_are_cancelled(unruly: httpx.Client) -> None:
    job_id = create(unruly, "noop")
    refused = unruly.post(f"/job/{job_id}/cancel")
    assert refused.status_code == 409
    assert "is created" in refused.json()["message"]
    unruly.post(f"/job/{job_id}/run")
    finished(unruly, job_id)
    refused = unruly.post(f"/job/{job_id}/cancel")
    assert refused.status_code == 409
    assert "has finished" in refused.json()["message"]
    assert unruly.post("/job/nobody/cancel").status_code == 404


def test_a_cancelled_run_is_not_tried_again(unruly: httpx.Client) -> None:
    job = cancel(unruly, begin(unruly, "doze", {"retries": 3}))
    assert job["state"] == "cancelled"
    assert [attempt["state"] for attempt in job["attempts"]] == ["cancelled"]


def test_the_output_until_then_is_kept(unruly: httpx.Client) -> None:
    job = cancel(unruly, begin(unruly, "doze"))
    assert log_of(unruly, job["_id"]) == "begun\n"


def test_those_that_a_filter_selects_are_cancelled(unruly: httpx.Client) -> None:
    running = [begin(unruly, "doze", {"group": group}) for group in ("a", "b")]
    done = carry_out(unruly, "pid", {"group": "a"})["_id"]
    fresh = create(unruly, "doze", {"group": "a"})
    answer = unruly.post("/jobs/cancel", json={"group": "a"})
    assert (answer.status_code, answer.json()["cancelled"]) == (200, 1)
    assert finished(unruly, running[0])["state"] == "cancelled"
    states = [read(unruly, job_id)["state"] for job_id in (running[1], done, fresh)]
    assert states == ["running", "finished", "created"]
    queued = [start(unruly, "doze") for _ in range(WORKERS + 1)]
    assert unruly.post("/jobs/cancel").status_code == 400
    assert unruly.post("/jobs/cancel", json={}).json()["cancelled"] == len(queued) + 1
    for job_id in (running[1], *queued):
        assert finished(unruly, job_id)["state"] == "cancelled"
    assert unruly.post("/jobs/cancel", json={}).json()["cancelled"] == 0
    assert unruly.post("/jobs/cancel", json={"$where": "1"}).status_code == 400
