"""A long queue beside the fastest peer that isolates each run: RQ, whose workers fork for each."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import median

from benchmarks.backlog import Drained, drained_queue
from benchmarks.figures import Figure
from benchmarks.server import WORKERS

ROOT = Path(__file__).parents[1]
REDIS = "redis-server"
START_SECONDS = 10


def missing() -> str:
    """Return what has to be installed first, or nothing."""
    if shutil.which(REDIS) is None:
        return f"{REDIS} is not on PATH: apt-get install redis-server"
    if _python() is None:
        return "RQ is missing: pip install rq, here or in an environment whose bin is on PATH"
    return ""


def measure(quick: bool) -> list[Figure]:
    """Drain the same queue with ours and with RQ by turns."""
    jobs, rounds = (200, 2) if quick else (1000, 5)
    pairs = [(drained_queue(jobs), _rq(jobs)) for _ in range(rounds)]
    ratio = median(ours.rate / theirs.rate for ours, theirs in pairs)
    ours, theirs = zip(*pairs, strict=True)
    what = f"{jobs:,} queued jobs that do nothing, {WORKERS} workers"
    return [
        Figure(f"{what}, median of {rounds}", median(one.rate for one in ours), "jobs/s"),
        Figure(
            "RQ's forking workers, Redis in memory", median(one.rate for one in theirs), "jobs/s"
        ),
        Figure("ratio of the rates, median over the rounds", ratio, at_least=2.5),
        Figure("ours unfinished", sum(one.unfinished for one in ours), at_most=0),
        Figure("RQ's unfinished", sum(one.unfinished for one in theirs), at_most=0),
    ]


def _rq(jobs: int) -> Drained:
    """Drain a queue with RQ."""
    with _redis() as port:
        command = (str(_python()), "-m", "benchmarks.rq_jobs", *map(str, (port, jobs, WORKERS)))
        answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    drained = json.loads(answer.stdout)
    return Drained(jobs, drained["seconds"], jobs - drained["finished"])


@cache
def _python() -> str | None:
    """Return a Python that has RQ: this one, or that beside an ``rq`` on PATH."""
    program = shutil.which("rq")
    beside = [str(Path(program).with_name("python"))] if program else []
    for python in (sys.executable, *beside):
        if shutil.which(python) and _has_rq(python):
            return python
    return None


def _has_rq(python: str) -> bool:
    found = subprocess.run([python, "-c", "import rq"], capture_output=True, check=False)
    return found.returncode == 0


@contextmanager
def _redis() -> Iterator[int]:
    """A Redis that keeps nothing on disk; gives its port on 127.0.0.1."""
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="rq-bench-") as folder:
        where = ("--bind", "127.0.0.1", "--port", str(port), "--dir", folder)
        command = (REDIS, *where, "--save", "", "--appendonly", "no")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                _wait_for(port)
                yield port
            finally:
                process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
