"""The server's side of a child, by itself: how runs end, and runs where a fork is not safe.

Where it is not, as on macOS, each run has a fresh interpreter.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.guards import Preloader
from jobserver.execution.supervision.supervisor import ChildSupervisor
from jobserver.execution.supervision.warm_pool import SharedFindings
from jobserver.home.settings import load
from jobserver.jobs.outcome import CANCELLED
from jobserver.sizes import MIB
from jobserver.system.protocol import RunSpec
from tests.support.server import SCRIPTS, lives, until


class Listener:
    """Takes what a run reports."""

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


class Lending(ActiveMaps):
    """Maps that lend the present run a slot whenever that is wanted."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.share = SlotShare(lambda: None)

    @contextmanager
    def shared(self, wake: Callable[[], None]) -> Iterator[SlotShare]:
        with super().shared(wake) as self.share:
            yield self.share


class Late(Listener):
    """Is busy until the run has ended, and lends it a slot then."""

    def __init__(self, maps: Lending, file: Path) -> None:
        super().__init__()
        self._maps = maps
        self._file = file

    def tick(self) -> None:
        if self.printed and not self._file.exists():
            self._file.touch()
            until(lambda: not psutil.pid_exists(int(self.printed)))
            self._maps.share.granted += 1


def supervisor_of(
    home: Path, maps: ActiveMaps, *, can_fork: bool, preloader: Preloader | None = None
) -> ChildSupervisor:
    (home / "scripts").mkdir()
    shutil.copy(SCRIPTS.with_name("supervised.py"), home / "scripts")
    if not can_fork:  # a thread makes a fork unsafe
        shutil.copy(SCRIPTS.with_name("loading") / "threaded.py", home / "scripts")
    setup = setup_message(load(home, environ={}))
    setup["can_fork"] = can_fork
    return ChildSupervisor(setup, SharedFindings(), maps, preloader or Preloader(None))


@pytest.fixture(scope="module")
def supervisor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildSupervisor]:
    home = tmp_path_factory.mktemp("home")
    supervisor = supervisor_of(home, ActiveMaps(lambda: None), can_fork=False)
    yield supervisor
    supervisor.dispose()


def spec(folder: Path, script: dict[str, Any]) -> RunSpec:
    return RunSpec(
        id="one",
        attempt=1,
        script=script,
        data=None,
        fields=[],
        folder=str(folder),
        seed=1,
        memory=0,
        files=1000,
        file_size=10 * MIB,
        small_result=MIB,
        largest_result=MIB,
    )


def test_each_run_starts_anew(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    pids = set()
    for _ in range(2):
        listener = Listener()
        outcome = supervisor.run(spec(tmp_path, {"name": "count"}), 0, listener)
        assert isinstance(outcome.result, list)
        assert outcome.result[0] == 1
        assert listener.printed == b"counted\n"
        pids.add(outcome.result[1])
    assert len(pids) == 2


def test_a_map_runs_in_one_process(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    script = {"type": "map", "name": "half", "over": [1.0, 2.0]}
    listener = Listener()
    assert supervisor.run(spec(tmp_path, script), 0, listener).result == [0.5, 1.0]
    assert b"the map runs in one process" in listener.printed


def test_what_ends_a_run_is_reported(supervisor: ChildSupervisor, tmp_path: Path) -> None:
    outcome = supervisor.run(spec(tmp_path, {"name": "vanish"}), 0, Listener())
    assert (outcome.state, outcome.error) == ("failed", "Killed")
    slow = supervisor.run(spec(tmp_path, {"name": "doze"}), 0.2, Listener())
    assert slow.error == "Timeout"
    stopped = supervisor.run(spec(tmp_path, {"name": "doze"}), 0, Listener(supervisor))
    assert stopped == CANCELLED or stopped.error == "Cancelled"
    supervisor.clear()
    assert supervisor.run(spec(tmp_path, {"name": "count"}), 0, Listener()).state == "finished"


@pytest.mark.skipif(sys.platform != "linux", reason="a fork is not safe")
def test_a_slot_lent_to_a_run_that_just_ended_does_no_harm(tmp_path: Path) -> None:
    maps, file = Lending(), tmp_path / "go on"
    supervisor = supervisor_of(tmp_path, maps, can_fork=True)
    try:
        script = {"name": "wait", "args": [str(file)]}
        folder = tmp_path / "folder"
        folder.mkdir()
        outcome = supervisor.run(spec(folder, script), 0, Late(maps, file))
    finally:
        supervisor.dispose()
    assert (outcome.state, outcome.result) == ("finished", "done")


@pytest.mark.skipif(sys.platform != "linux", reason="a fork is not safe")
def test_slots_start_anew_after_the_preloader_was_stopped_or_killed(tmp_path: Path) -> None:
    preloader = Preloader(None)
    before = {process.pid for process in psutil.Process().children()}
    supervisors = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        maps = ActiveMaps(lambda: None)
        made = supervisor_of(tmp_path / name, maps, can_fork=True, preloader=preloader)
        supervisors.append(made)
    count = spec(tmp_path, {"name": "count"})
    try:
        assert supervisors[0].run(count, 0, Listener()).state == "finished"
        (process,) = {each for each in psutil.Process().children() if each.pid not in before}
        process.suspend()
        assert supervisors[1].run(count, 0, Listener()).state == "finished"
        family = process.children(recursive=True)
        assert len([each for each in family if each.ppid() == process.pid]) == 2
        process.kill()
        until(lambda: not any(map(lives, family)))
        for supervisor in supervisors:
            assert supervisor.run(count, 0, Listener()).state == "finished"
    finally:
        for supervisor in supervisors:
            supervisor.dispose()
    assert {each.pid for each in psutil.Process().children()} <= before
