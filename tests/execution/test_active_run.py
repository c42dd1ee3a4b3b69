"""A run that goes on: its messages, and its limits on processes with sizes made up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import bson
import psutil
import pytest
from bson.raw_bson import RawBSONDocument

from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision import active_run
from jobserver.execution.supervision.active_run import ActiveRun, Limits, MemoryBaseline
from jobserver.execution.supervision.child_process import ChildEnded
from jobserver.sizes import MIB
from jobserver.system import shared_memory
from jobserver.system.shared_memory import Segments

BEFORE = MemoryBaseline(resident=70 * MIB, own=50 * MIB, shared=0)
ALLOWED = 100 * MIB


class Machine:
    """Its clock, and how much memory the run has on top of what was there before."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.resident = self.own = self.shared = self.segments = 0
        self.measured = 0
        patch.setattr("time.monotonic", lambda: self.now)
        patch.setattr(active_run, "resident", lambda _: BEFORE.resident + self.resident)
        patch.setattr(active_run, "own_memory", self.own_memory)
        patch.setattr(Segments, "size", lambda _: self.segments)

    def own_memory(self, _: object) -> tuple[int, int]:
        self.measured += 1
        return BEFORE.own + self.own, BEFORE.shared + self.shared

    def error(self, run: Limits, now: float) -> str | None:
        """How the run ends at a time; None if it goes on."""
        self.now = now
        outcome = run.exceeded(list[psutil.Process])
        return outcome.error if outcome else None


@pytest.fixture(autouse=True)
def _forget_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "_running", [])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def make(machine: Machine) -> Callable[..., Limits]:
    def made(timeout: float = 0, memory: int = 0, share: SlotShare | None = None) -> Limits:
        share = share or SlotShare(lambda: None)
        return Limits(timeout, memory, BEFORE, Segments(0), share)

    return made


def test_a_run_ends_after_its_timeout_and_not_before(machine: Machine, make: Any) -> None:
    run = make(timeout=2)
    assert [machine.error(run, now) for now in (0, 2, 2.1)] == [None, None, "Timeout"]
    assert machine.error(make(), 1e9) is None


def test_memory_is_what_a_run_takes_on_top(machine: Machine, make: Any) -> None:
    run = make(memory=ALLOWED)
    machine.resident = machine.own = ALLOWED
    assert machine.error(run, 1) is None
    machine.resident = machine.own = ALLOWED + 1
    assert machine.error(run, 2) == "MemoryError"
    assert machine.error(make(), 3) is None


def test_memory_is_looked_at_twice_a_second(machine: Machine, make: Any) -> None:
    run = make(memory=ALLOWED)
    machine.resident = machine.own = ALLOWED + 1
    assert [machine.error(run, now) for now in (0.5, 0.6)] == [None, "MemoryError"]


def test_pages_that_processes_share_count_once(machine: Machine, make: Any) -> None:
    run = make(memory=ALLOWED)
    machine.resident, machine.own = 5 * ALLOWED, ALLOWED  # of five forks
    assert machine.error(run, 1) is None
    assert machine.measured == 1


def test_the_slow_measurement_is_spared_while_the_quick_one_suffices(
    machine: Machine, make: Any
) -> None:
    run = make(memory=ALLOWED)
    machine.resident = ALLOWED
    assert machine.error(run, 1) is None
    assert machine.measured == 0


def test_segments_count_mapped_or_not_and_once(machine: Machine, make: Any) -> None:
    run = make(memory=ALLOWED)
    machine.segments = ALLOWED + 1  # nobody has it mapped
    assert machine.error(run, 1) == "MemoryError"
    machine.segments = machine.shared = machine.resident = ALLOWED
    assert machine.error(run, 2) is None


def test_a_map_may_take_the_memory_of_each_slot_that_it_has(machine: Machine, make: Any) -> None:
    share = SlotShare(lambda: None)
    run = make(memory=ALLOWED, share=share)
    machine.resident = machine.own = 2 * ALLOWED
    share.held = 2
    assert machine.error(run, 1) is None
    share.held = 1
    assert machine.error(run, 2) is None  # the worker that gave its slot back may not have ended
    assert machine.error(run, 3) == "MemoryError"


class Fork:
    """The process of a run, which takes messages unless it is gone."""

    pid = 2**22 + 1

    def __init__(self) -> None:
        self.printed = b""
        self.sent: list[Any] = []
        self.is_gone = False

    def take_output(self) -> bytes:
        printed, self.printed = self.printed, b""
        return printed

    def send(self, message: Any, seconds: float) -> None:
        assert seconds == 0  # a script that does not read must not hold up its slot
        if self.is_gone:
            raise ChildEnded
        self.sent.append(message)


class Listener:
    """Notes what a run reports."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def output(self, text: bytes) -> None:
        self.heard.append(text)

    def progress(self, fraction: float, message: str | None) -> None:
        self.heard.append((fraction, message))

    def step(self, message: Any) -> None:
        self.heard.append(message["name"])

    def part(self, begin: float, end: float) -> None:
        self.heard.append((begin, end))

    def tick(self) -> None:
        self.heard.append("tick")


@pytest.fixture
def fork() -> Fork:
    return Fork()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def share() -> SlotShare:
    return SlotShare(lambda: None)


@pytest.fixture
def run(fork: Fork, listener: Listener, share: SlotShare) -> ActiveRun:
    maps = ActiveMaps(lambda: None)
    return ActiveRun(cast("Any", None), cast("Any", fork), listener, share, maps, None)


def message(**fields: Any) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(fields))


def test_output_is_passed_on_once(run: ActiveRun, fork: Fork, listener: Listener) -> None:
    run.pass_output()
    fork.printed = b"one"
    run.pass_output()
    run.pass_output()
    assert listener.heard == [b"one"]


def test_each_message_goes_where_it_belongs(
    run: ActiveRun, listener: Listener, share: SlotShare
) -> None:
    run.handle(message(op="progress", fraction=0.5, message="half"))
    run.handle(message(op="step", name="resample"))
    run.handle(message(op="workers", used=1, free=3))
    run.handle(message(op="of another release"))
    assert listener.heard == [(0.5, "half"), "resample", (0.0, 0.0)]
    assert share.wants_more
    run.handle(message(op="provenance", provenance={"packages": {"pandas": "2.2"}}))
    assert run.provenance is not None
    assert run.provenance["packages"] == {"pandas": "2.2"}


def test_a_run_is_told_when_its_map_has_more_slots(
    run: ActiveRun, fork: Fork, share: SlotShare
) -> None:
    run.tick()
    share.granted = 3
    for _ in range(2):
        run.tick()
    assert fork.sent == [{"op": "workers", "count": 3}]


def test_a_run_that_is_over_is_told_nothing(
    run: ActiveRun, fork: Fork, listener: Listener, share: SlotShare
) -> None:
    share.granted, fork.is_gone = 2, True
    run.tick()
    assert listener.heard == ["tick"]
    assert fork.sent == []


def test_workers_that_a_run_only_claims_are_not_waited_for(
    run: ActiveRun, share: SlotShare
) -> None:
    run.handle(message(op="workers", used=50, free=0))
    assert share.owes
    run.tick()
    assert not share.owes
