"""The limits of a run that the server enforces; a run's process sets the others for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from jobserver.execution.maps import SlotShare
from jobserver.execution.supervision.child_process import own_memory, resident
from jobserver.jobs.job import State
from jobserver.jobs.outcome import Outcome
from jobserver.processes.run_context import memory_exceeded
from jobserver.system.shared_memory import Segments

#: Seconds between two checks of a run's memory.
_CHECK_SECONDS = 0.5


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
        segments, allowed = self._segments.size(), self._memory * self._share.held
        if resident(tree) - self._before.resident + segments <= allowed:
            return False
        now = MemoryBaseline.measure(tree)
        shared = max(now.shared - self._before.shared, segments)
        return now.own - self._before.own + shared > allowed
