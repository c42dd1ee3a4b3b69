"""The limits of a run that the server watches, beside those that its process sets for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from jobserver.execution.supervision.child_process import own_memory, resident
from jobserver.jobs.job import State
from jobserver.jobs.outcome import Outcome
from jobserver.processes.run_context import memory_exceeded
from jobserver.system.shared_memory import Segments

#: Seconds between two looks at the memory of a run.
LOOK_SECONDS = 0.5
TIMEOUT = "Timeout"


@dataclass(frozen=True)
class MemoryBaseline:
    """Bytes of memory that processes hold: resident, of their own, and shared between them."""

    resident: int
    own: int
    shared: int

    @classmethod
    def measure(cls, processes: list[psutil.Process]) -> MemoryBaseline:
        """What processes hold now."""
        return cls(resident(processes), *own_memory(processes))


class Limits:
    """Tells when a run takes too much, of all its processes together.

    Parameters
    ----------
    timeout : float
        Seconds that it may take; 0 for no limit.
    memory : int
        Bytes that it may take; 0 for no limit.
    before : MemoryBaseline
        What its warm process and the fork held before.
    segments : Segments
        The shared memory that it makes.
    """

    def __init__(
        self, timeout: float, memory: int, before: MemoryBaseline, segments: Segments
    ) -> None:
        self._timeout = timeout
        self._memory = memory
        self._before = before
        self._segments = segments
        self._began = self._looked = time.monotonic()

    def exceeded(self, tree: Callable[[], list[psutil.Process]]) -> Outcome | None:
        """How the run has to end, if it has to.

        Parameters
        ----------
        tree : callable
            Gives the warm process, and all that is below it now.
        """
        now = time.monotonic()
        if self._timeout and now - self._began > self._timeout:
            return timed_out(self._timeout)
        if self._memory and now - self._looked > LOOK_SECONDS:
            self._looked = now
            if self._takes_too_much(tree()):
                message = memory_exceeded(self._memory)
                return Outcome(State.FAILED, error="MemoryError", message=message)
        return None

    def _takes_too_much(self, tree: list[psutil.Process]) -> bool:
        """Whether it takes more than it may; the exact look takes longer, and is mostly spared."""
        segments = self._segments.size()
        if resident(tree) - self._before.resident + segments <= self._memory:
            return False
        now = MemoryBaseline.measure(tree)
        shared = max(now.shared - self._before.shared, segments)
        return now.own - self._before.own + shared > self._memory


def timed_out(timeout: float) -> Outcome:
    """How a run ends that took longer than it may."""
    message = f"timeout of {timeout:g} s exceeded"
    return Outcome(State.FAILED, error=TIMEOUT, message=message)
