"""RQ's side of the comparison with a peer: ``python -m benchmarks.rq_jobs PORT JOBS WORKERS``.

This runs in the environment that has RQ and imports nothing else. It queues the jobs behind one
that waits for each worker, lets the workers go together, and prints as JSON how long the rest took.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus

PAUSE_SECONDS = 0.005
START_SECONDS = 60


def noop() -> None:
    """Do nothing."""


def hold(gate: str) -> None:
    """Keep a worker busy until a file exists."""
    while not Path(gate).exists():
        time.sleep(PAUSE_SECONDS)


def drain(port: int, jobs: int, workers: int, gate: Path) -> dict[str, float]:
    """Return the seconds from the release to the last end, and how many jobs finished."""
    connection = Redis("127.0.0.1", port)
    queue = Queue(connection=connection)
    holders = [queue.enqueue(f"{__package__}.rq_jobs.hold", str(gate)) for _ in range(workers)]
    prepared = [Queue.prepare_data(f"{__package__}.rq_jobs.noop") for _ in range(jobs)]
    ids = [job.id for job in queue.enqueue_many(prepared)]
    with ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(_worker(port))
        stack.callback(gate.touch)  # whatever goes wrong
        _wait_until_started(holders)
        gate.touch()
        released = time.time()
    ended = [job for job in Job.fetch_many(ids, connection) if job is not None and job.is_finished]
    last = max((job.ended_at.timestamp() for job in ended if job.ended_at), default=released)
    return {"seconds": last - released, "finished": len(ended)}


def _wait_until_started(jobs: list[Job]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while any(job.get_status() != JobStatus.STARTED for job in jobs):
        if time.monotonic() > deadline:
            raise TimeoutError("RQ's workers did not start")
        time.sleep(PAUSE_SECONDS)


def _worker(port: int) -> subprocess.Popen[bytes]:
    """Start a worker of the default class, which forks for each job, until the queue is empty."""
    url = f"redis://127.0.0.1:{port}"
    command = (sys.executable, "-m", "rq.cli", "worker", "--burst", "--quiet", "--url", url)
    return subprocess.Popen(command)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rq-bench-") as folder:
        port, jobs, workers = map(int, sys.argv[1:])
        print(json.dumps(drain(port, jobs, workers, Path(folder, "gate"))))
