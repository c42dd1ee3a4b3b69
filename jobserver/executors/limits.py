"""The limits of a run that the server watches, beside those that its process sets for itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from jobserver.execution import memory_exceeded
from jobserver.executors.child_process import ChildProcess, own_memory, resident
from jobserver.models.job import State
from jobserver.models.outcome import Outcome
from jobserver.shared_memory import Segments

#: Seconds between two looks at the memory of a run.
LOOK_SECONDS = 0.5
TIMEOUT = "Timeout"


@dataclass(frozen=True)
class Held:
    """Bytes of memory that a child holds: resident, of its own, and shared between processes."""

    resident: int
    own: int
    shared: int

    @classmethod
    def by(cls, child: ChildProcess) -> Held:
        """What the processes below a guard hold now."""
        tree = child.tree()
        return cls(resident(tree), *own_memory(tree))


class Limits:
    """Tells when a run takes too much, of all its processes together.

    Parameters
    ----------
    timeout : float
        Seconds that it may take; 0 for no limit.
    memory : int
        Bytes that it may take; 0 for no limit.
    before : Held
        What its child held before.
    segments : Segments
        The shared memory that it makes.
    """

    def __init__(self, timeout: float, memory: int, before: Held, segments: Segments) -> None:
        self._timeout = timeout
        self._memory = memory
        self._before = before
        self._segments = segments
        self._began = self._looked = time.monotonic()

    def exceeded(self, child: ChildProcess) -> Outcome | None:
        """How the run has to end, if it has to."""
        now = time.monotonic()
        if self._timeout and now - self._began > self._timeout:
            return timed_out(self._timeout)
        if self._memory and now - self._looked > LOOK_SECONDS:
            self._looked = now
            if self._takes_too_much(child):
                message = memory_exceeded(self._memory)
                return Outcome(State.FAILED, error="MemoryError", message=message)
        return None

    def _takes_too_much(self, child: ChildProcess) -> bool:
        """Whether it takes more than it may; the exact look takes longer, and is mostly spared."""
        segments = self._segments.size()
        if resident(child.tree()) - self._before.resident + segments <= self._memory:
            return False
        now = Held.by(child)
        shared = max(now.shared - self._before.shared, segments)
        return now.own - self._before.own + shared > self._memory


def timed_out(timeout: float) -> Outcome:
    """How a run ends that took longer than it may."""
    message = f"timeout of {timeout:g} s exceeded"
    return Outcome(State.FAILED, error=TIMEOUT, message=message)
