"""What runs leave behind: segments of shared memory, and processes that hold them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import httpx
import psutil
import pytest

from tests.child.test_clean_runs import add_leaving
from tests.support.runs import MIB, begin, carry_out, log_of, start
from tests.support.server import MakeServer, Server, finished, until

FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux keeps it
MEMORY = 96 * MIB


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    """A server with one slot and little memory."""
    with make_server(prepare=add_leaving, JOB_MEMORY_LIMIT=MEMORY) as server:
        yield server
        server.check()


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    """A client of that server."""
    return server.client


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no segment has yet; nothing of it stays."""
    name = f"jobserver-test-{secrets.token_hex(8)}"
    yield name
    for path in FOLDER.glob(f"{name}*"):
        path.unlink()


@pytest.fixture
def segment(name: str) -> Iterator[SharedMemory]:
    """A segment that this process uses."""
    held = SharedMemory(name, create=True, size=MIB)
    assert held.buf is not None
    held.buf[:6] = b"theirs"
    yield held
    held.close()
    try:
        held.unlink()
    except FileNotFoundError:
        resource_tracker.unregister(f"/{name}", "shared_memory")
        raise


def is_gone(name: str, pids: list[int]) -> bool:
    """Whether nothing is left of a segment and of processes."""
    return not (FOLDER / name).exists() and not any(map(psutil.pid_exists, pids))


def test_the_memory_and_the_processes_of_a_run_go_with_it(client: httpx.Client) -> None:
    for _ in range(2):
        job = carry_out(client, "share_memory", mib=1)
        assert job["state"] == "finished", job["message"]
        left = job["result"]
        assert len(left["pids"]) >= 3  # two of the pool, and a tracker
        until(partial(is_gone, **left), 3)
        assert "leaked" not in log_of(client, job["_id"])


def test_files_and_folders_in_the_shared_memory_go_with_the_run(
    client: httpx.Client, name: str
) -> None:
    assert carry_out(client, "write_shared", name=name, folder=str(FOLDER))["state"] == "finished"
    until(lambda: list(FOLDER.glob(f"{name}*")) == [], 3)


def test_a_segment_from_before_the_run_stays(client: httpx.Client, segment: SharedMemory) -> None:
    job = carry_out(client, "use_segment", name=segment.name)
    assert job["result"] == "theirs"
    assert carry_out(client, "noop")["state"] == "finished"  # what is left goes before it
    assert (FOLDER / segment.name).exists()


def test_a_segment_that_another_program_uses_stays(
    client: httpx.Client, name: str, request: pytest.FixtureRequest
) -> None:
    job_id = begin(client, "use_segment", name=name)
    request.getfixturevalue("segment")
    assert finished(client, job_id)["result"] == "theirs"
    assert carry_out(client, "noop")["state"] == "finished"
    assert (FOLDER / name).exists()


def test_a_segment_of_a_run_that_was_ended_goes(client: httpx.Client, name: str) -> None:
    job_id = start(client, "fill_shared_memory", {"timeout": 0.5})
    assert finished(client, job_id)["message"] == "timeout of 0.5 s exceeded"
    until(lambda: list(FOLDER.glob(f"{job_id}*")) == [], 3)


def test_shared_memory_counts_as_memory_of_the_run(client: httpx.Client) -> None:
    job = carry_out(client, "fill_shared_memory", {"timeout": 20})
    assert (job["state"], job["error"]) == ("failed", "MemoryError")
    assert "96 MiB" in job["message"]
    until(lambda: list(FOLDER.glob(f"{job['_id']}*")) == [], 3)
    assert carry_out(client, "count")["result"] == 1
