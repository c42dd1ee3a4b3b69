"""Many ask for the same at once: one gets it."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.races import ASKERS, race
from tests.support.runs import WORKERS, all_busy, create, read, start
from tests.support.server import Server, finished

RACES = 10


def test_of_twenty_that_start_a_job_one_does(unruly: httpx.Client, unruly_server: Server) -> None:
    with ThreadPoolExecutor(ASKERS) as pool:
        for _ in range(RACES):
            assert race(unruly, pool) == {202: 1, 409: 19}


def test_started_and_cancelled_at_once(unruly: httpx.Client, unruly_server: Server) -> None:
    with ThreadPoolExecutor(2) as pool, all_busy(unruly_server, WORKERS):
        for _ in range(10):
            job_id = create(unruly, "noop")
            barrier = threading.Barrier(2)

            def ask(path: str, job_id: str = job_id, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return unruly.post(f"/job/{job_id}/{path}").status_code

            started, cancelled = pool.map(ask, ("run", "cancel"))
            assert started == 202
            expected = {202: "cancelled", 409: "queued"}[cancelled]
            assert read(unruly, job_id)["state"] == expected


def test_cancelled_twenty_times_at_once(unruly: httpx.Client) -> None:
    job_id = start(unruly, "doze")
    with ThreadPoolExecutor(ASKERS) as pool:
        answers = pool.map(lambda _: unruly.post(f"/job/{job_id}/cancel").status_code, range(20))
        statuses = Counter(answers)
    assert statuses[202] >= 1
    assert set(statuses) <= {202, 409}
    assert finished(unruly, job_id)["state"] == "cancelled"


def test_changed_while_it_is_started(unruly: httpx.Client) -> None:
    """What runs is what was stored when the start was accepted."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            job_id = create(unruly, "add", a=1)
            changed = {"script": {"name": "add", "kwargs": {"a": 5}}}
            edit = pool.submit(unruly.post, f"/job/{job_id}", json=changed)
            run = pool.submit(unruly.post, f"/job/{job_id}/run")
            assert run.result().status_code == 202
            job = finished(unruly, job_id)
            assert job["result"] == job["script"]["kwargs"]["a"] + 2
            assert job["result"] == {200: 7, 409: 3}[edit.result().status_code]
