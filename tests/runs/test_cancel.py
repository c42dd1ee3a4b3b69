from __future__ import annotations

import time

import httpx
import pytest

from tests.conftest import Server, finished
from tests.runs.conftest import begin, carry_out, create
from tests.runs.unruly import ENDLESS

NAMES = [script.__name__ for script in ENDLESS]


@pytest.mark.parametrize("script", NAMES)
def test_a_run_is_cancelled_within_a_second(
    unruly: httpx.Client, unruly_server: Server, script: str
) -> None:
    job_id = begin(unruly, script)
    began = time.monotonic()
    answer = unruly.post(f"/job/{job_id}/cancel")
    assert answer.status_code == 202
    job = finished(unruly, job_id, 8)
    took = time.monotonic() - began
    assert (job["state"], job["error"]) == ("cancelled", "Cancelled")
    assert job["result"] is None
    assert job["message"] == "cancelled while it ran"
    assert took < 1.0 + (script=="stop_guard")*2
    print(script, took)
