"""A disk without room: clear refusals, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.runs import NATIVE, add_unruly, start
from tests.support.server import finished, until

MIB = 1024 * 1024
DISK = 160 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "jobserver-test", str(tmp_path)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    if not mounted:
        pytest.skip("only root may mount a disk")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.fixture
def members(disk: Path) -> Iterator[Fleet]:
    add_unruly(disk / "home")
    with fleet(disk / "home", "server", WORKERS=1, SHUTDOWN_GRACE=0) as members:
        yield members


def put(client: httpx.Client, number: int) -> httpx.Response:
    return client.put("/job", json={"number": number, "note": "x" * (2 * MIB)})


def numbers(client: httpx.Client) -> set[int]:
    """Of all jobs that are stored, whole."""
    jobs = client.get("/jobs", params=NATIVE).json()["jobs"]
    assert all(len(job["note"]) == 2 * MIB for job in jobs if "note" in job)
    return {job["number"] for job in jobs if "number" in job}


def fill(disk: Path) -> Path:
    """Take all the room that is left, as another program would."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while file.write(bytes(size)) == size:
                    continue
            except OSError:
                continue
    return path


def test_writes_are_refused_before_the_database_breaks_down(members: Fleet) -> None:
    with members.client(timeout=30) as client:
        stored: set[int] = set()
        while (answer := put(client, len(stored))).status_code == 201:
            stored.add(len(stored))
        assert answer.status_code == 503
        assert "disk is almost full" in answer.json()["message"]
        assert int(answer.headers["Retry-After"]) > 0
        assert len(stored) > 3
        upload = client.put("/datafile/big.csv", files={"file": ("big.csv", bytes(2 * MIB))})
        assert upload.status_code == 503
        assert [path.name for path in (members.home / "data").iterdir()] == ["timeseries.csv"]
        assert numbers(client) == stored
    members.kill_all()
    members.wait_ready()
    with members.client(timeout=30) as client:
        assert numbers(client) == stored


def test_a_disk_that_others_filled_loses_nothing(members: Fleet, disk: Path) -> None:
    with members.client(timeout=30) as client:
        stored = {number for number in range(10) if put(client, number).status_code == 201}
        assert len(stored) == 10
        waiting = start(client, "sign", name="signed")
        finished(client, waiting)
        filler = fill(disk)
        refused = put(client, 99)
        assert refused.status_code == 503
        assert str(disk) not in refused.text
        filler.unlink()
        until(members.is_ready, 60)
        assert numbers(client) == stored
        assert put(client, 10).status_code == 201
        assert finished(client, start(client, "noop"))["state"] == "finished"
    members.kill_all()
    members.wait_ready()
    with members.client(timeout=30) as client:
        assert numbers(client) == stored | {10}
