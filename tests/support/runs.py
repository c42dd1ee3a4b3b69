"""Servers whose homes have the scripts of `tests.support.scripts.unruly`."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.server import Job, MakeServer, Server, finished, until

_SCRIPTS = Path(__file__).parent / "scripts"
UNRULY = _SCRIPTS / "unruly.py"
COMPOSING = _SCRIPTS / "composing.py"
KINDS = _SCRIPTS / "kinds.py"
#: Of the server with low limits.
SECRET = "open-sesame-1c9f"  # noqa: S105 - it is looked for
MIB = 1024 * 1024
NATIVE = {"stringify": "false"}
WORKERS = 3
MEMORY = 256 * MIB
FILE_SIZE = 20 * MIB
OUTPUT = 100 * 1024


def add_unruly(home: Path) -> None:
    """Put the scripts into a home."""
    (home / "scripts").mkdir(parents=True, exist_ok=True)
    shutil.copy(UNRULY, home / "scripts")
    shutil.copy(COMPOSING, home / "scripts")


def add_kinds(home: Path) -> None:
    """Put these scripts and those of `tests.support.scripts.kinds` into a home."""
    add_unruly(home)
    shutil.copy(KINDS, home / "scripts")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that holds the scripts and nothing else, for a fleet."""
    add_unruly(tmp_path / "home")
    return tmp_path / "home"


def create(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> str:
    """Create a job; its id."""
    body = {"script": {"name": script, "kwargs": kwargs}, **(fields or {})}
    answer = client.put("/job", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["_id"])


def start(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> str:
    """Create a job and start it; its id."""
    job_id = create(client, script, fields, **kwargs)
    answer = until(lambda: _run_unless_loading(client, job_id))
    assert answer.status_code == 202, answer.text
    return job_id


def _run_unless_loading(client: httpx.Client, job_id: str) -> httpx.Response | None:
    answer = client.post(f"/job/{job_id}/run")
    is_loading = answer.status_code == 503 and "being imported" in answer.text
    return None if is_loading else answer


def carry_out(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> Job:
    """Create a job, start it, and give it once it came to its end."""
    return finished(client, start(client, script, fields, **kwargs))


def read(client: httpx.Client, job_id: str) -> Job:
    """A job with native values."""
    job: Job = client.get(f"/job/{job_id}", params=NATIVE).json()
    return job


def log_of(client: httpx.Client, job_id: str, offset: int = 0) -> str:
    """What a job's script printed."""
    return client.get(f"/job/{job_id}/log", params={"offset": offset}).text


def begin(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> str:
    """Start a script that prints "begun", and wait until it did; the job's id."""
    job_id = start(client, script, fields, **kwargs)
    until(lambda: "begun" in log_of(client, job_id), 20)
    return job_id


def cancel(client: httpx.Client, job_id: str) -> Job:
    """Cancel a job and give it once it came to its end."""
    answer = client.post(f"/job/{job_id}/cancel")
    assert answer.status_code == 202, answer.text
    return finished(client, job_id)


def last_state(client: httpx.Client, job_id: str) -> str:
    """The state of a job as it is read last before the server is gone."""
    state = ""
    try:
        while state != "finished":
            state = read(client, job_id)["state"]
    except httpx.TransportError:
        assert state
    return state


@contextmanager
def all_busy(server: Server, slots: int) -> Iterator[list[str]]:
    """Have every slot wait until the end of the block; the ids of these jobs."""
    client, gate = server.client, server.home / f"gate-{secrets.token_hex(4)}"
    ids = [start(client, "wait_for", name=gate.name) for _ in range(slots)]
    until(lambda: all("begun" in log_of(client, job_id) for job_id in ids), 20)
    try:
        yield ids
    finally:
        gate.touch()
    for job_id in ids:
        finished(client, job_id)


def below(home: Path) -> list[psutil.Process]:
    """Processes that scripts of a home started, wherever they went."""
    return [process for process in psutil.process_iter() if _is_below(process, str(home))]


def _is_below(process: psutil.Process, home: str) -> bool:
    try:
        folder = process.environ().get("TMPDIR", "")
        inherited = folder.startswith(f"{home}/tmp/")  # noqa: S108 - below the home
        return inherited and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@pytest.fixture(scope="session")
def unruly_server(make_server: MakeServer) -> Iterator[Server]:
    """One server with low limits for all tests that may share it."""
    with make_server(
        prepare=add_kinds,
        WORKERS=WORKERS,
        SECRET_KEY=SECRET,
        LEASE_SECONDS=4,
        JOB_MEMORY_LIMIT=MEMORY,
        JOB_FILE_SIZE_LIMIT=FILE_SIZE,
        JOB_OUTPUT_LIMIT=OUTPUT,
    ) as server:
        yield server


@pytest.fixture
def unruly(unruly_server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    yield unruly_server.client
    unruly_server.check()


@pytest.fixture(scope="session")
def single_server(make_server: MakeServer) -> Iterator[Server]:
    """A server with one slot, so that one child runs one job after another."""
    with make_server(prepare=add_unruly, QUEUE_LIMIT=3, JOB_MEMORY_LIMIT=MEMORY) as server:
        yield server


@pytest.fixture
def single(single_server: Server) -> Iterator[httpx.Client]:
    """A client of that server."""
    yield single_server.client
    single_server.check()
