"""Twenty ask at once to start one job: one gets 202, the others 409."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

ASKERS = 20


NOTHING = {"script_name": "noop"}


def race(
    client: httpx.Client, pool: ThreadPoolExecutor, body: Mapping[str, Any] = NOTHING
) -> Counter[int]:
    """How often each status was answered.

    Parameters
    ----------
    pool : ThreadPoolExecutor
        Of `ASKERS` threads.
    body : mapping, optional
        The job.
    """
    job_id = client.put("/job", json=dict(body)).json()["_id"]
    barrier = threading.Barrier(ASKERS)

    def ask(_: int) -> int:
        barrier.wait()
        return client.post(f"/job/{job_id}/run").status_code

    return Counter(pool.map(ask, range(ASKERS)))
