"""Runs where a fork is not safe, as on macOS: each has a fresh interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobserver.executors.loads import SharedFindings
from jobserver.executors.maps import Maps
from jobserver.executors.setup import setup_message
from jobserver.executors.supervisor import ChildSupervisor
from jobserver.models.outcome import CANCELLED
from jobserver.settings import load
from jobserver.sizes import MIB

SCRIPTS = """
import os
import threading
import time

COUNT = 0
threading.Thread(target=time.sleep, args=[600], daemon=True).start()


def count():
    global COUNT
    COUNT += 1
    print("counted")
    return [COUNT, os.getpid()]


def half(x: float):
    return x / 2


def vanish():
    os._exit(3)


def doze():
    time.sleep(600)
"""


class Listener:
    """Takes what a run tells."""

    def __init__(self, supervisor: ChildSupervisor | None = None) -> None:
        self.printed = b""
        self._supervisor = supervisor

    def output(self, text: bytes) -> None:
        self.printed += text

    def progress(self, fraction: float, message: str | None) -> None:
        pass

    def step(self, message: Mapping[str, Any]) -> None:
        pass

    def part(self, begin: float, end: float) -> None:
        pass

    def tick(self) -> None:
        if self._supervisor:
            self._supervisor.stop(CANCELLED)


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildSupervisor]:
    home = tmp_path_factory.mktemp("home")
    (home / "scripts").mkdir()
    (home / "scripts" / "own.py").write_text(SCRIPTS)
    setup = setup_message(load(home, environ={})) | {"can_fork": False}
    supervisor = ChildSupervisor(setup, SharedFindings(), Maps(lambda: None))
    yield supervisor
    supervisor.dispose()


def spec(folder: Path, script: dict[str, Any]) -> dict[str, Any]:
    limits = {"memory": 0, "files": 1000, "file_size": 10 * MIB}
    results = {"small_result": MIB, "largest_result": MIB}
    return {
        **{"id": "one", "attempt": 1, "seed": 1, "data": None, "folder": str(folder)},
        **{"script": script, **limits, **results},
    }


def test_each_run_starts_anew(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    pids = set()
    for _ in range(2):
        listener = Listener()
        outcome = supervisor.run(spec(tmp_path, {"name": "count"}), 0, listener)
        assert outcome.result[0] == 1
        assert listener.printed == b"counted\n"
        pids.add(outcome.result[1])
    assert len(pids) == 2


def test_a_map_runs_in_one_process(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    script = {"type": "map", "name": "half", "over": [1.0, 2.0]}
    listener = Listener()
    assert supervisor.run(spec(tmp_path, script), 0, listener).result == [0.5, 1.0]
    assert b"the map runs in one process" in listener.printed


def test_what_ends_a_run_is_told(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    outcome = supervisor.run(spec(tmp_path, {"name": "vanish"}), 0, Listener())
    assert (outcome.state, outcome.error) == ("failed", "Killed")
    slow = supervisor.run(spec(tmp_path, {"name": "doze"}), 0.2, Listener())
    assert slow.error == "Timeout"
    stopped = supervisor.run(spec(tmp_path, {"name": "doze"}), 0, Listener(supervisor))
    assert stopped == CANCELLED or stopped.error == "Cancelled"
    supervisor.clear()
    assert supervisor.run(spec(tmp_path, {"name": "count"}), 0, Listener()).state == "finished"
