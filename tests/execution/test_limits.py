"""Limits of a run: time, memory, files, output, result. Their message names them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.runs import (
    MIB,
    OUTPUT,
    add_unruly,
    below,
    carry_out,
    create,
    log_of,
)
from tests.support.server import MakeServer, Server, until


def test_a_job_has_its_own_timeout(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "spin", {"timeout": 0.7})
    assert (job["state"], job["error"]) == ("failed", "Timeout")
    assert job["message"] == "timeout of 0.7 s exceeded"
    assert 0.7 <= job["time_sec"] < 2.0
    assert log_of(unruly, job["_id"]) == "begun\n"


@pytest.mark.parametrize("timeout", [-1, 0, "1", True, [1]])
def test_a_timeout_has_to_be_a_positive_number(unruly: httpx.Client, timeout: object) -> None:
    job_id = create(unruly, "noop", {"timeout": timeout})
    refused = unruly.post(f"/job/{job_id}/run")
    assert refused.status_code == 422
    assert [problem["field"] for problem in refused.json()["errors"]] == ["timeout"]


@pytest.mark.parametrize(
    ("script", "kwargs"),
    [
        ("take", {"mib": 1000}),
        ("map_memory", {"mib": 300, "seconds": 60}),
        ("take_in_children", {"mib": 150, "children": 3}),
    ],
)
def test_memory(
    unruly: httpx.Client, unruly_server: Server, script: str, kwargs: dict[str, Any]
) -> None:
    job = carry_out(unruly, script, **kwargs)
    assert job["state"] == "failed"
    assert "memory limit of 256 MiB exceeded" in job["message"]
    until(lambda: not below(unruly_server.home), 1.0)


def test_memory_that_a_script_kept_is_not_the_next_ones_loss(single: httpx.Client) -> None:
    for mib in (40, 40, 200):  # each takes less than the 256 MiB that it may
        assert carry_out(single, "keep", mib=mib)["state"] == "finished"
    job = carry_out(single, "map_memory", mib=230, seconds=1.2)
    assert job["state"] == "finished", job["message"]


def test_memory_that_processes_share_counts_once(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "share", mib=100, copies=4, seconds=1.5)
    assert job["state"] == "finished", job["message"]


def test_open_files(unruly: httpx.Client) -> None:
    assert carry_out(unruly, "open_files", count=500)["result"] == 500
    job = carry_out(unruly, "open_files", count=1100)
    assert job["error"] == "OSError"
    assert job["message"].endswith(": at most 1024 at once")


def test_file_size(unruly: httpx.Client) -> None:
    assert carry_out(unruly, "write_file", mib=10)["state"] == "finished"
    job = carry_out(unruly, "write_file", mib=30)
    assert job["error"] == "OSError"
    assert job["message"] == "OSError: [Errno 27] File too large: at most 20 MiB"


def test_output_is_cut_with_a_mark(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "say", kib=500)
    assert job["state"] == "finished"
    text = log_of(unruly, job["_id"])
    kept, notice, after = text.partition("\n[the output is cut here: the limit is reached]\n")
    assert notice
    assert after == ""
    assert len(kept) == OUTPUT
    assert kept.startswith("000000000...")
    short = carry_out(unruly, "say", kib=50)
    assert len(log_of(unruly, short["_id"])) == 50 * 1024


def test_a_result_is_a_file_that_a_run_writes(unruly: httpx.Client) -> None:
    assert carry_out(unruly, "give", mib=16)["result"]["size"] == 16 * MIB
    job = carry_out(unruly, "give", mib=40)
    assert (job["state"], job["error"], job["result"]) == ("failed", "TooLarge", None)
    assert job["message"] == f"the result has {40 * MIB} bytes; at most 20 MiB can be kept"


def test_long_messages_are_clipped(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "leave", how="long")
    assert job["error"] == "ValueError"
    assert job["message"].startswith("ValueError: xxxx")
    assert len(job["message"]) < 5000
    job = carry_out(unruly, "tell_much", mib=20)
    assert (job["state"], job["progress"]) == ("finished", 0.5)


def test_limits_of_the_server_hold_for_every_job(make_server: MakeServer) -> None:
    settings = {"JOB_TIMEOUT": 0.6, "JOB_MEMORY_LIMIT": 0}
    with make_server(prepare=add_unruly, **settings) as server:
        job = carry_out(server.client, "hold_gil")
        assert job["message"] == "timeout of 0.6 s exceeded"
        job = carry_out(server.client, "doze", {"timeout": 60})
        assert job["message"] == "timeout of 0.6 s exceeded"
