"""The list of all jobs as it was written before: windows of it that did not change since.

Writing 5,000 jobs takes the embedded server and us a good part of a second; most of them ended long
ago. So the bytes of a window are kept, up to `LARGEST` in all, until a job in it changes or goes.
Both leave a mark with a time in the database, whoever did it, and every listing looks for new marks
first. A mark may arrive late by what a write may take; what is kept is given up after a minute
besides.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from jobserver.models.calendar import Window
from jobserver.models.listing import Listing
from jobserver.sizes import MIB

LARGEST = 32 * MIB
LATE_SECONDS = 10
OLDEST_SECONDS = 60.0

#: Whose jobs (None for everybody's), which window of them, and whether as strings.
Key = tuple[ObjectId | None, Window, bool]


@dataclass(frozen=True)
class Rendered:
    """A written window.

    Attributes
    ----------
    jobs : int
        Number of jobs in it.
    text : bytes
        The jobs as JSON, separated by commas.
    """

    jobs: int
    text: bytes
    made: float = field(default_factory=time.monotonic)


class Cache:
    """Written windows, each as strings or native, of each owner's jobs by themselves.

    Parameters
    ----------
    listing : Listing
        Tells which jobs changed.
    """

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Rendered] = OrderedDict()
        self._size = 0
        self._looked = datetime.now(UTC)

    def look(self) -> None:
        """Forget the windows in which something changed."""
        now = datetime.now(UTC)
        changed = self._listing.changed(self._looked - timedelta(seconds=LATE_SECONDS))
        with self._lock:
            self._looked = max(self._looked, now)
            if changed:
                self._forget(changed)

    def get(self, key: Key) -> Rendered | None:
        """A window as it was written, if it still holds."""
        with self._lock:
            kept = self._kept.get(key)
            if kept and time.monotonic() - kept.made < OLDEST_SECONDS:
                self._kept.move_to_end(key)
                return kept
        return None

    def put(self, key: Key, rendered: Rendered) -> None:
        """Keep a window; those that were not asked for longest make room."""
        with self._lock:
            self._drop(key)
            self._kept[key] = rendered
            self._size += len(rendered.text)
            while self._size > LARGEST:
                self._drop(next(iter(self._kept)))

    def _forget(self, times: Iterable[datetime]) -> None:
        marks = sorted(times)
        for key in list(self._kept):
            if _any_between(marks, *key[1]):
                self._drop(key)

    def _drop(self, key: Key) -> None:
        if dropped := self._kept.pop(key, None):
            self._size -= len(dropped.text)


def _any_between(times: list[datetime], start: datetime, end: datetime) -> bool:
    place = bisect_left(times, start)
    return place < len(times) and times[place] < end
