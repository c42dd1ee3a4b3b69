"""The log, live and with offsets, and the progress."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.support.runs import begin, carry_out, log_of, read, start
from tests.support.server import Server, finished, until


def test_everything_that_is_written_counts(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "write_everywhere")
    assert log_of(unruly, job["_id"]) == (
        "by print\nto stderr\nby C\nto the descriptor\nby a process\nthe end without a line"
    )
    chatter = carry_out(unruly, "chatter")
    text = log_of(unruly, chatter["_id"])
    assert text == "printed 0\nprinted 1\nprinted 2\ncomplained\nINFO chatter: logged\n"


def test_the_log_can_be_followed_by_offset(unruly: httpx.Client, unruly_server: Server) -> None:
    gate = unruly_server.home / "follow"
    job_id = begin(unruly, "wait_for", name=gate.name)
    answer = unruly.get(f"/job/{job_id}/log")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "begun\n"
    assert read(unruly, job_id)["state"] == "running"
    assert log_of(unruly, job_id, offset=3) == "un\n"
    assert log_of(unruly, job_id, offset=6) == ""
    assert log_of(unruly, job_id, offset=1000) == ""
    gate.touch()
    finished(unruly, job_id)


def test_offsets_count_bytes_over_all_pieces(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "say", kib=60)
    whole = unruly.get(f"/job/{job['_id']}/log").content
    assert len(whole) == 60 * 1024
    for offset in (0, 1, 1023, 1024, 40_000, 60 * 1024 - 1, 60 * 1024):
        answer = unruly.get(f"/job/{job['_id']}/log", params={"offset": offset})
        assert answer.content == whole[offset:]


def test_a_traceback_ends_the_log_without_the_servers_folders(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fail")
    text = log_of(unruly, job["_id"])
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("ValueError: failed on purpose\n")
    assert '  File "scripts/trials.py", line' in text
    assert "jobserver/" not in text


def test_a_traceback_comes_after_too_much_output(unruly: httpx.Client) -> None:
    text = log_of(unruly, carry_out(unruly, "say_and_fail", kib=500)["_id"])
    _, notice, after = text.partition("\n[the output is cut here: the limit is reached]\n")
    assert notice
    assert after.startswith("Traceback (most recent call last):\n")
    assert after.endswith("ValueError: after all\n")


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("warning", r"^scripts/unruly\.py:\d+: UserWarning: be warned$"),
        ("logging", r'^  File "scripts/unruly\.py", line \d+, in warn$'),
        ("print", r"^this is scripts/unruly\.py$"),
    ],
)
def test_nothing_tells_the_folder_of_the_home(
    unruly: httpx.Client, unruly_server: Server, how: str, line: str
) -> None:
    text = log_of(unruly, carry_out(unruly, "warn", how=how)["_id"])
    assert re.search(line, text, re.M), text
    assert str(unruly_server.home) not in text


def test_a_failure_does_not_tell_the_folder_of_its_run(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fail_somewhere")
    assert job["message"].startswith("RuntimeError: in ., at a.csv, not tmp/")
    assert "RuntimeError: in ., at a.csv, not tmp/" in log_of(unruly, job["_id"])


def test_no_output_is_lost_between_jobs(single: httpx.Client) -> None:
    for number in range(1, 20):
        job = carry_out(single, "chatter", lines=number)
        text = log_of(single, job["_id"])
        assert text.count("printed") == number
        assert text.endswith("INFO chatter: logged\n")


def test_times_have_microseconds(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "fine_times")
    text = "2018-09-05T17:24:22.607225Z"
    assert job["result"] == {"alone": text, "listed": [text]}
    assert unruly.get(f"/job/{job['_id']}/result").json() == job["result"]
    stringified = unruly.get(f"/job/{job['_id']}").json()["result"]
    assert stringified["alone"] == "2018-09-05 17:24:22.607225"


def test_progress_is_in_the_job(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "advance")
    assert job["progress"] == 1.0
    assert job["state"] == "finished"


def test_a_progress_bar_is_read_from_stderr(unruly: httpx.Client) -> None:
    job_id = start(unruly, "bar", steps=40, pause=0.05)
    seen: list[float] = []

    def ended() -> bool:
        job = read(unruly, job_id)
        if "progress" in job and job["progress"] not in seen:
            seen.append(job["progress"])
            if job["state"] == "running":
                assert job["message"] == "summing"
        return bool(job["state"] == "finished")

    until(ended)
    assert seen == sorted(seen)
    assert len(seen) >= 3
    assert seen[-1] == 1.0
    assert "summing: 100%" in log_of(unruly, job_id)


def test_progress_is_throttled(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "report_often", count=200_000)
    assert job["state"] == "finished"
    assert job["time_sec"] < 10
