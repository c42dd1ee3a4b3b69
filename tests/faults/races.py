"""Twenty ask at once to start one job: one is told 202, the others 409."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx

ASKERS = 20


def race(client: httpx.Client, pool: ThreadPoolExecutor, script: str = "noop") -> Counter[int]:
    """How often each status was answered.

    Parameters
    ----------
    pool : ThreadPoolExecutor
        Of `ASKERS` threads.
    """
    job_id = client.put("/job", json={"script_name": script}).json()["_id"]
    barrier = threading.Barrier(ASKERS)

    def ask(_: int) -> int:
        barrier.wait()
        return client.post(f"/job/{job_id}/run").status_code

    return Counter(pool.map(ask, range(ASKERS)))
