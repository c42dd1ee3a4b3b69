"""A run that is going on: its messages and output, for the recorder and its map; its limits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import psutil
from bson.raw_bson import RawBSONDocument

from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision.child_messages import parse_progress, parse_provenance
from jobserver.execution.supervision.child_process import (
    ChildEnded,
    own_memory,
    resident,
    tree_of,
)
from jobserver.execution.supervision.warm_process import RunProcess, WarmProcess
from jobserver.jobs.job import State
from jobserver.jobs.outcome import Outcome
from jobserver.processes.run_context import memory_exceeded
from jobserver.storage.database import Document
from jobserver.system.run_user import RunUser
from jobserver.system.shared_memory import Segments

#: Seconds between two checks of a run's memory.
_CHECK_SECONDS = 0.5


class Recorder(Protocol):
    """Takes what a run reports while it goes on."""

    def output(self, text: bytes) -> None:
        """Take what the script printed."""

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""

    def step(self, message: Mapping[str, object]) -> None:
        """Take which step of a pipeline begins."""

    def part(self, begin: float, end: float) -> None:
        """Take which part of the run the progress bars that follow cover."""

    def tick(self) -> None:
        """Do what is due; called a few times a second."""


class ActiveRun:
    """A run, the processes it goes on in, and who listens.

    Parameters
    ----------
    warm, process : WarmProcess, RunProcess
        The process that was forked, and its fork.
    recorder : Recorder
        Takes what the run reports.
    share : SlotShare
        The slots of its maps.
    maps : ActiveMaps
        Where other slots find the maps that want more.
    user : RunUser, optional
        The user of its processes, if not our own.

    Attributes
    ----------
    due : float
        When it must be gone, by the monotonic clock.
    segments : Segments
        The shared memory that it creates.
    provenance : dict or None
        What it depends on, as it reported.
    """

    def __init__(
        self,
        warm: WarmProcess,
        process: RunProcess,
        recorder: Recorder,
        share: SlotShare,
        maps: ActiveMaps,
        user: RunUser | None,
    ) -> None:
        self.warm = warm
        self.process = process
        self.segments = Segments(user.uid if user else os.geteuid())
        self.due = float("inf")
        self.provenance: Document | None = None
        self._recorder = recorder
        self._share = share
        self._maps = maps
        self._granted = share.granted

    def pass_output(self) -> None:
        """Pass on what was printed."""
        if printed := self.process.take_output():
            self._recorder.output(printed)

    def handle(self, message: RawBSONDocument) -> None:
        """Take a message that does not end the run."""
        match message.get("op"):
            case "provenance":
                self.provenance = parse_provenance(message)
            case "progress":
                self._recorder.progress(*parse_progress(message))
            case "step":
                self._recorder.step(message)
            case "workers":
                self._recorder.part(0.0, 0.0)  # bars of items say nothing about the whole
                self._maps.report(self._share, message)

    def tick(self) -> None:
        """Do what is due, and tell the run how many slots its map has when that changes."""
        self._recorder.tick()
        if self._share.owes:  # what it reports is not trusted
            self._share.bound(len(tree_of(self.process.pid)) - 1)
        granted = self._share.granted
        if granted != self._granted:
            with suppress(ChildEnded):  # it is over, and its last message is not read yet
                self.process.send({"op": "workers", "count": granted}, seconds=0)
                self._granted = granted


@dataclass(frozen=True)
class MemoryBaseline:
    """Bytes of memory that processes hold: resident, private, and shared between them."""

    resident: int
    own: int
    shared: int

    @classmethod
    def measure(cls, processes: list[psutil.Process]) -> MemoryBaseline:
        """Measure what processes hold now."""
        return cls(resident(processes), *own_memory(processes))


class Limits:
    """The time and memory that a run may take, all its processes together.

    A map may take the memory of one run for each slot that it has.

    Parameters
    ----------
    timeout : float
        Seconds allowed; 0 for no limit.
    memory : int
        Bytes allowed; 0 for no limit.
    before : MemoryBaseline
        What its warm process and the fork held before.
    segments : Segments
        The shared memory that it creates.
    share : SlotShare
        Its slots.
    """

    def __init__(
        self,
        timeout: float,
        memory: int,
        before: MemoryBaseline,
        segments: Segments,
        share: SlotShare,
    ) -> None:
        self._timeout = timeout
        self._memory = memory
        self._held = 1
        self._before = before
        self._segments = segments
        self._share = share
        self._began = self._checked = time.monotonic()

    def exceeded(self, tree: Callable[[], list[psutil.Process]]) -> Outcome | None:
        """Return the outcome of a run that exceeded a limit; None while it is within them.

        Parameters
        ----------
        tree : callable
            Returns the warm process and all processes below it.
        """
        now = time.monotonic()
        if self._timeout and now - self._began > self._timeout:
            message = f"timeout of {self._timeout:g} s exceeded"
            return Outcome(State.FAILED, error="Timeout", message=message)
        if self._memory and now - self._checked > _CHECK_SECONDS:
            self._checked = now
            if self._takes_too_much(tree()):
                message = memory_exceeded(self._memory)
                return Outcome(State.FAILED, error="MemoryError", message=message)
        return None

    def _takes_too_much(self, tree: list[psutil.Process]) -> bool:
        """Whether it takes too much; the exact measurement is slow, and mostly not needed."""
        # A worker that has just left its slot may not have ended yet.
        held, self._held = max(self._held, self._share.held), self._share.held
        segments, allowed = self._segments.size(), self._memory * held
        if resident(tree) - self._before.resident + segments <= allowed:
            return False
        now = MemoryBaseline.measure(tree)
        shared = max(now.shared - self._before.shared, segments)
        return now.own - self._before.own + shared > allowed
