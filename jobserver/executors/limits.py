"""The limits of a run that the server watches, beside those that the child sets for itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobserver.execution import memory_exceeded
from jobserver.models.job import State
from jobserver.models.outcome import Outcome

if TYPE_CHECKING:
    from jobserver.executors.child_process import ChildProcess

#: Seconds between two looks at the memory of a running child.
LOOK_SECONDS = 0.5
TIMEOUT = "Timeout"


class Limits:
    """Tells when a run takes too much.

    Parameters
    ----------
    timeout : float
        Seconds that it may take; 0 for no limit.
    memory : int
        Bytes that it may take; 0 for no limit.
    held : int
        Bytes that the child held before.
    began : float
        When the run began, by the monotonic clock.
    """

    def __init__(self, timeout: float, memory: int, held: int, began: float) -> None:
        self._timeout = timeout
        self._memory = memory
        self._held = held
        self._began = self._looked = began

    def exceeded(self, child: ChildProcess) -> Outcome | None:
        """How the run has to end, if it has to."""
        now = time.monotonic()
        if self._timeout and now - self._began > self._timeout:
            return timed_out(self._timeout)
        if self._memory and now - self._looked > LOOK_SECONDS:
            self._looked = now
            most = self._memory + self._held
            if child.memory() > most and child.memory_alone() > most:
                message = memory_exceeded(self._memory)
                return Outcome(State.FAILED, error="MemoryError", message=message)
        return None


def timed_out(timeout: float) -> Outcome:
    """How a run ends that took longer than it may."""
    message = f"timeout of {timeout:g} s exceeded"
    return Outcome(State.FAILED, error=TIMEOUT, message=message)
