"""Slots without a job are lent to the maps of other slots' runs, until a job waits.

The process of a map's run forks as many workers as it has slots. The thread of a lent slot does
nothing meanwhile: its share of the machine goes to a worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

#: Seconds between two checks whether a job waits.
_CHECK_SECONDS = 0.02


class SlotShare:
    """The slots of one run's maps.

    Parameters
    ----------
    wake : callable
        Wakes the slot of the run.

    Attributes
    ----------
    granted : int
        Number of its slots, including its own.
    held : int
        The same, with those that its workers have not left yet.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.granted = self.held = 1
        self._wake = wake
        self._used = self._free = 0
        self._is_over = False
        self._changed = threading.Condition()

    @property
    def lent(self) -> int:
        """Number of slots borrowed from others."""
        return self.granted - 1

    @property
    def wants_more(self) -> bool:
        """Whether there are items for one more slot."""
        return self._free > 0 and self._used >= self.granted and not self._is_over

    def report(self, message: Mapping[str, object]) -> None:
        """Take the run's numbers of workers and of items without one; they are not trusted."""
        used, free = message.get("used"), message.get("free")
        with self._changed:
            self._used = used if isinstance(used, int) else 0
            self._free = free if isinstance(free, int) else 0
            self._changed.notify_all()

    @property
    def owes(self) -> bool:
        """Whether it reports more workers than slots, as while it gives one back."""
        return self._used > self.granted

    def bound(self, workers: int) -> None:
        """Limit the reported number of workers to what was counted."""
        with self._changed:
            self._used = min(self._used, workers)
            self._changed.notify_all()

    def lend(self, is_needed: Callable[[], bool]) -> None:
        """Lend a slot until it is needed elsewhere or has nothing to do; wait for its worker's end.

        Parameters
        ----------
        is_needed : callable
            Whether the slot is needed elsewhere.
        """
        self._grant(1)
        with self._changed:
            while not (self._is_over or self._free == 0 or is_needed()):
                self._changed.wait(_CHECK_SECONDS)
        self._grant(-1)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._used <= self.granted)
            self.held -= 1

    def close(self) -> None:
        """Note that the run is over."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _grant(self, slots: int) -> None:
        with self._changed:
            self.granted += slots
            self.held += max(slots, 0)
        self._wake()


class ActiveMaps:
    """The runs of an executor that may have a map.

    Parameters
    ----------
    wake_slots : callable
        Has slots that wait for a job look here.
    """

    def __init__(self, wake_slots: Callable[[], None]) -> None:
        self._wake_slots = wake_slots
        self._shares: list[SlotShare] = []
        self._lock = threading.Lock()

    @contextmanager
    def shared(self, wake: Callable[[], None]) -> Iterator[SlotShare]:
        """Offer a run's maps to idle slots while it goes on."""
        share = SlotShare(wake)
        with self._lock:
            self._shares.append(share)
        try:
            yield share
        finally:
            with self._lock:
                self._shares.remove(share)
            share.close()

    def report(self, share: SlotShare, message: Mapping[str, object]) -> None:
        """Take a run's report about its map, and wake idle slots if it has work for more."""
        share.report(message)
        if share.wants_more:
            self._wake_slots()

    def pick(self) -> SlotShare | None:
        """Return the map with the fewest slots of those that want more."""
        with self._lock:
            wanting = [share for share in self._shares if share.wants_more]
        return min(wanting, key=lambda share: share.lent, default=None)
