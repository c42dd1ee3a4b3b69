"""Where in time jobs lie close: bounds that cut the list of jobs into windows of a few hundred.

A range of an index costs what it holds, limit or not, on the embedded server. So no list asks for
more than a window. The bounds are hints: a missing one makes a window larger, never wrong, and
whoever reads a window that is too large or too small mends them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from bson import ObjectId

from jobserver.database import Database, Document
from jobserver.models.job import utcnow

#: Jobs that a window should hold.
SIZE = 100
REFRESH_SECONDS = 30
_FIRST = datetime(1970, 1, 1)

Window = tuple[datetime, datetime]


class Calendar:
    """The bounds between windows, kept in memory and in the collection ``windows``.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    owner : ObjectId, optional
        Of whose jobs; of all without one.
    """

    def __init__(self, database: Database, owner: ObjectId | None = None) -> None:
        self._database = database
        self._owner = owner
        self._bounds: list[datetime] = []
        self._loaded = _FIRST
        self._lock = threading.Lock()
        self._created = 0

    def note(self, created: datetime) -> None:
        """A job was created; each `SIZE`-th sets a bound."""
        with self._lock:
            self._created += 1
            due = self._created % SIZE == 0
        if due:
            self._add(created)

    def windows(self, start: datetime | None, newest_first: bool) -> Iterator[Window]:
        """Windows that cover all jobs from a time on, or down from it.

        Parameters
        ----------
        start : datetime or None
            Time of creation to begin with; None for the very first, or last.
        newest_first : bool
            Whether to go back in time.
        """
        self._refresh()
        end = utcnow() + timedelta(days=1)
        with self._lock:
            edges = [_FIRST, *self._bounds, end]
        if newest_first:
            last = len(edges) - 1 if start is None else bisect_right(edges, start)
            spans = [(edges[i - 1], edges[i]) for i in range(min(last, len(edges) - 1), 0, -1)]
        else:
            first = 0 if start is None else max(bisect_right(edges, start) - 1, 0)
            spans = [(edges[i], edges[i + 1]) for i in range(first, len(edges) - 1)]
        yield from spans

    def mend(self, window: Window, times: Sequence[datetime]) -> None:
        """Adjust the bounds of a window to the times of creation of all jobs in it, in order."""
        if len(times) > 2 * SIZE:
            for time in times[SIZE::SIZE]:
                self._add(time)
        elif len(times) < SIZE // 8:
            self._drop(window[0])

    def _add(self, bound: datetime) -> None:
        with self._lock:
            place = bisect_left(self._bounds, bound)
            known = place < len(self._bounds) and self._bounds[place] == bound
            if not known:
                insort(self._bounds, bound)
        if not known:
            self._database.insert("windows", self._entry(bound))

    def _drop(self, bound: datetime) -> None:
        with self._lock:
            known = bound in self._bounds
            if known:
                self._bounds.remove(bound)
        if known:
            entry = {"_id": self._entry(bound)["_id"]}
            self._database.call(self._database["windows"].delete_one, entry)

    def _entry(self, bound: datetime) -> Document:
        if self._owner is None:
            return {"_id": bound}
        return {"_id": f"{self._owner}:{bound}", "owner": self._owner, "bound": bound}

    def _refresh(self) -> None:
        """Take over what other servers of the database found."""
        now = utcnow()
        if now - self._loaded > timedelta(seconds=REFRESH_SECONDS):
            kept = self._database.find("windows", {"owner": self._owner})
            bounds: list[datetime] = sorted(
                entry["_id"] if self._owner is None else entry["bound"] for entry in kept
            )
            with self._lock:
                self._bounds, self._loaded = bounds, now
            if not bounds:
                self._survey()

    def _survey(self) -> None:
        """Set all bounds anew, where jobs came into the database by another way."""
        mine: Document = {"created": {"$gte": _FIRST}}
        mine |= {} if self._owner is None else {"_owner": self._owner}
        jobs = self._database.find("jobs", mine, projection=["created"], sort=[("created", 1)])
        for job in islice(jobs, SIZE, None, SIZE):
            self._add(job["created"])
