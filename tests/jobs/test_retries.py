"""``retries``: failed jobs are tried again, and every attempt is recorded."""

from __future__ import annotations

import httpx
import pytest

from tests.support.runs import begin, cancel, carry_out, create, log_of, read
from tests.support.server import Server, finished


def test_every_attempt_is_kept(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fail_until", {"retries": 3}, attempt=3)
    assert (job["state"], job["result"]) == ("finished", 3)
    assert "error" not in job
    assert "message" not in job
    attempts = [
        (one["attempt"], one["state"], one["error"], one["message"]) for one in job["attempts"]
    ]
    assert attempts == [
        (1, "failed", "RuntimeError", "RuntimeError: attempt 1 had to fail"),
        (2, "failed", "RuntimeError", "RuntimeError: attempt 2 had to fail"),
        (3, "finished", None, None),
    ]
    times = [one[name] for one in job["attempts"] for name in ("started", "finished")]
    assert times == sorted(times)
    text = log_of(unruly, job["_id"])
    assert [text.index(f"attempt {number}\n") for number in (1, 2, 3)] == sorted(
        text.index(f"attempt {number}\n") for number in (1, 2, 3)
    )


def test_the_last_failure_counts(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fail_until", {"retries": 1}, attempt=9)
    assert (job["state"], job["error"]) == ("failed", "RuntimeError")
    assert job["message"] == "RuntimeError: attempt 2 had to fail"
    assert [one["attempt"] for one in job["attempts"]] == [1, 2]


def test_an_attempt_begins_without_what_the_last_one_told(
    unruly: httpx.Client, unruly_server: Server
) -> None:
    job_id = begin(unruly, "stumble", {"retries": 1}, name="stumbled", pause=0.7)
    job = read(unruly, job_id)
    assert job["attempts"][0]["message"] == "RuntimeError: it was not"
    assert job["state"] == "running"
    assert "progress" not in job
    assert "message" not in job
    (unruly_server.home / "stumbled").touch()
    assert finished(unruly, job_id)["state"] == "finished"


def test_a_killed_child_and_a_timeout_are_tried_again(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "end_by", {"retries": 1}, number=9)
    assert [one["message"] for one in job["attempts"]] == ["killed by SIGKILL"] * 2
    job = carry_out(unruly, "doze", {"retries": 1, "timeout": 0.3})
    assert [one["error"] for one in job["attempts"]] == ["Timeout"] * 2


def test_without_retries_there_is_one_attempt(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fail")
    assert job["state"] == "failed"
    assert "attempts" not in job


def test_a_job_between_two_attempts_can_be_cancelled(unruly: httpx.Client) -> None:
    job = cancel(unruly, begin(unruly, "fail_slowly", {"retries": 50}))
    assert job["state"] == "cancelled"
    assert len(job["attempts"]) < 50


@pytest.mark.parametrize("retries", [-1, 101, 1.5, "1", True])
def test_retries_have_to_be_a_small_number(unruly: httpx.Client, retries: object) -> None:
    job_id = create(unruly, "noop", {"retries": retries})
    refused = unruly.post(f"/job/{job_id}/run")
    assert refused.status_code == 422
    assert [problem["field"] for problem in refused.json()["errors"]] == ["retries"]
