"""Slots without a job are lent to the maps of others, until a job waits.

The process of a map's run forks as many workers as it has slots. The thread of a slot that is lent
does nothing meanwhile: it holds the place for a worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: Seconds between two looks whether a job waits.
LOOK_SECONDS = 0.02


class SlotShare:
    """The slots of one run's maps.

    Parameters
    ----------
    wake : callable
        Has the slot of the run look up.

    Attributes
    ----------
    granted : int
        How many slots it has, its own among them.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.granted = 1
        self._wake = wake
        self._used = self._free = 0
        self._is_over = False
        self._changed = threading.Condition()

    @property
    def lent(self) -> int:
        """How many slots of others it has."""
        return self.granted - 1

    @property
    def wants_more(self) -> bool:
        """Whether there are items for one more slot."""
        return self._free > 0 and self._used >= self.granted and not self._is_over

    def report(self, message: Mapping[str, Any]) -> None:
        """Take what the run says of its workers and of items that nobody has; it is not trusted."""
        used, free = message.get("used"), message.get("free")
        with self._changed:
            self._used = used if isinstance(used, int) else 0
            self._free = free if isinstance(free, int) else 0
            self._changed.notify_all()

    @property
    def owes(self) -> bool:
        """Whether it says that it has more workers than slots, as while it gives one back."""
        return self._used > self.granted

    def bound(self, workers: int) -> None:
        """Take note that it has so many workers at most, whatever it says."""
        with self._changed:
            self._used = min(self._used, workers)
            self._changed.notify_all()

    def lend(self, is_wanted: Callable[[], bool]) -> None:
        """Lend a slot, until it is wanted elsewhere or there is nothing to do, and a worker left.

        Parameters
        ----------
        is_wanted : callable
            Whether the slot is wanted elsewhere.
        """
        self._grant(1)
        with self._changed:
            while not (self._is_over or self._free == 0 or is_wanted()):
                self._changed.wait(LOOK_SECONDS)
        self._grant(-1)
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._used <= self.granted)

    def close(self) -> None:
        """The run is over."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _grant(self, slots: int) -> None:
        with self._changed:
            self.granted += slots
        self._wake()


class ActiveMaps:
    """The runs of an executor that may have a map.

    Parameters
    ----------
    call : callable
        Has slots that wait for a job look here.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._shares: list[SlotShare] = []
        self._lock = threading.Lock()

    @contextmanager
    def shared(self, wake: Callable[[], None]) -> Iterator[SlotShare]:
        """The slots of a run, while it goes on."""
        share = SlotShare(wake)
        with self._lock:
            self._shares.append(share)
        try:
            yield share
        finally:
            with self._lock:
                self._shares.remove(share)
            share.close()

    def report(self, share: SlotShare, message: Mapping[str, Any]) -> None:
        """Take what a run says of its map, and call slots where it has work for more."""
        share.report(message)
        if share.wants_more:
            self._call()

    def pick(self) -> SlotShare | None:
        """The map that has the fewest slots of those that want more."""
        with self._lock:
            wanting = [share for share in self._shares if share.wants_more]
        return min(wanting, key=lambda share: share.lent, default=None)
