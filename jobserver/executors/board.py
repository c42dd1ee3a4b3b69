"""The maps that run in the slots of an executor, for slots that look for work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from jobserver.executors.crew import Crew


class Board:
    """The maps that run in the slots of an executor.

    Parameters
    ----------
    slots : int
        How many there are.
    call : callable
        Has slots that wait for a job look here.
    jobs_wait : callable
        Whether a job waits: it goes first.
    """

    def __init__(self, slots: int, call: Callable[[], None], jobs_wait: Callable[[], bool]) -> None:
        self.slots = slots
        self.jobs_wait = jobs_wait
        self._call = call
        self._crews: list[Crew] = []
        self._lock = threading.Lock()

    def add(self, crew: Crew) -> None:
        """A map begins."""
        with self._lock:
            self._crews.append(crew)
        if crew.order.items > 1:
            self._call()

    def remove(self, crew: Crew) -> None:
        """A map is over; all others have left it afterwards."""
        with self._lock:
            self._crews = [one for one in self._crews if one is not crew]
        crew.dissolve()

    def pick(self) -> Crew | None:
        """The map that has the fewest slots of those that want more."""
        with self._lock:
            wanting = [crew for crew in self._crews if crew.wants_help]
        return min(wanting, key=lambda crew: crew.size, default=None)
