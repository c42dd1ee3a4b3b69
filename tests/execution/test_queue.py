"""The queue is finite, and says so."""

from __future__ import annotations

import httpx

from tests.support.runs import all_busy, cancel, create, read, start
from tests.support.server import Server, finished


def test_a_full_queue_is_told(single: httpx.Client, single_server: Server) -> None:
    with all_busy(single_server, 1):
        waiting = [start(single, "noop") for _ in range(3)]
        job_id = create(single, "noop")
        before = read(single, job_id)
        refused = single.post(f"/job/{job_id}/run")
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert "The queue is full: 3 jobs wait" in refused.json()["message"]
        assert read(single, job_id) == before
    assert [finished(single, one)["state"] for one in waiting] == ["finished"] * 3
    assert single.post(f"/job/{job_id}/run").status_code == 202
    assert finished(single, job_id)["state"] == "finished"


def test_jobs_run_in_the_order_of_their_start(single: httpx.Client, single_server: Server) -> None:
    with all_busy(single_server, 1):
        waiting = [start(single, "sign", name="order") for _ in range(3)]
    for job_id in waiting:
        finished(single, job_id)
    signed = (single_server.home / "order").read_text().splitlines()
    assert signed == [f"{job_id} 1" for job_id in waiting]


def test_a_cancelled_job_makes_room(single: httpx.Client, single_server: Server) -> None:
    with all_busy(single_server, 1):
        waiting = [start(single, "noop") for _ in range(3)]
        cancel(single, waiting[0])
        assert single.post(f"/job/{create(single, 'noop')}/run").status_code == 202
