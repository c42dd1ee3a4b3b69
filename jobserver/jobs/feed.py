"""News of jobs: one look at the database serves all streams and all requests that wait."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, PRIVATE, Job, State, find_jobs, private
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.storage.documents import OWNER, JobId

#: How often to look while jobs change, and after something was written here; and otherwise.
BUSY_SECONDS, NEWS_SECONDS, IDLE_SECONDS = 0.2, 0.02, 2.0
#: After how long without changes it is otherwise.
QUIET_SECONDS = 5.0
#: Change ids of several servers are ordered to the second only.
OVERLAP_SECONDS = 2
#: Fields of a job that events show.
SHOWN = ("state", "progress", "message")

#: Whoever missed more asks for it separately.
_LONGEST_WINDOW = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ANYBODYS: Mapping[str, object] = {}
_FIELDS = (*SHOWN, OWNER, PRIVATE)


@dataclass(eq=False)
class Watch:
    """What somebody waits for.

    Attributes
    ----------
    job_id, key : JobId, ObjectId
        A job; None for all jobs.
    position : str or None
        Position in its log, if what follows is of interest.
    """

    job_id: JobId | None = None
    key: ObjectId | None = None
    position: str | None = None


@dataclass(frozen=True)
class Look:
    """What one look at the database found.

    Attributes
    ----------
    watches : collection of Watch
        For whom it was taken.
    jobs : mapping
        The watched jobs, by key; one that was deleted is missing.
    pieces : mapping
        Pieces of their logs, by key, each with its position; some may be known already.
    changed : sequence of Job
        If all jobs are watched: those that changed after ``since``, and some from before.
    since, time : datetime
        When the look before and this one began.
    taken : float
        The same by the monotonic clock.
    """

    watches: Collection[Watch]
    time: datetime
    since: datetime
    taken: float
    jobs: Mapping[ObjectId, Job] = field(default_factory=dict)
    pieces: Mapping[ObjectId, Sequence[tuple[str, bytes]]] = field(default_factory=dict)
    changed: Sequence[Job] = ()


class JobFeed:
    """Looks for news of jobs that somebody watches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._busy_until = 0.0
        self._look = Look((), _EPOCH, _EPOCH, 0.0)

    @contextmanager
    def watching(self, watch: Watch) -> Iterator[Watch]:
        """Look for somebody while the body runs."""
        with self._lock:
            self._watches.add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    def look(self, watch: Watch) -> Look:
        """Return what was found for a watch, by a new look if one is due.

        Raises
        ------
        StoreUnavailable
            If the database does not answer.
        """
        with self._lock:
            if self._is_due(watch, time.monotonic()):
                self._look = self._take([*self._watches], self._look.time)
            return self._look

    def _is_due(self, watch: Watch, now: float) -> bool:
        if watch not in self._look.watches:
            return True
        age = now - self._look.taken
        if self._database.wrote >= self._look.taken:
            return age >= NEWS_SECONDS
        return age >= (BUSY_SECONDS if now < self._busy_until else IDLE_SECONDS)

    def _take(self, watches: list[Watch], since: datetime) -> Look:
        taken, now = time.monotonic(), utcnow().replace(tzinfo=UTC)
        since = min(max(since, now - _LONGEST_WINDOW), now)  # the clock may have gone back
        ids = [watch.job_id for watch in watches if watch.job_id is not None]
        found = find_jobs(self._database, {"_id": {"$in": ids}}, _FIELDS) if ids else ()
        jobs = {job.run.key: job for job in found}
        # After the jobs, so that the log of one that has ended is complete.
        pieces = self._pieces(watches, jobs)
        changed = []
        if len(ids) < len(watches):
            changed = [*changed_jobs(self._database, since)]
        if changed or any(job.state in ACTIVE for job in jobs.values()):
            self._busy_until = taken + QUIET_SECONDS
        return Look(frozenset(watches), now, since, taken, jobs, pieces, changed)

    def _pieces(
        self, watches: list[Watch], jobs: Mapping[ObjectId, Job]
    ) -> Mapping[ObjectId, Sequence[tuple[str, bytes]]]:
        """Return the pieces of logs that at least one watch does not know."""
        cursors: dict[ObjectId, str] = {}
        for watch in watches:
            job = jobs.get(watch.key) if watch.key else None
            if job and watch.position is not None and job.state is not State.CREATED:
                key = job.run.key
                cursors[key] = min(cursors.get(key, watch.position), watch.position)
        pieces = defaultdict(list)
        for key, position, text in logs.since(self._database, cursors):
            pieces[key].append((position, text))
        return pieces


def oldest_change(since: datetime) -> ObjectId:
    """Return an id that is below those of all changes after a time."""
    return ObjectId.from_datetime(max(since - timedelta(seconds=OVERLAP_SECONDS), _EPOCH))


def changed_jobs(
    database: Database, since: datetime, visible: Mapping[str, object] = _ANYBODYS
) -> Iterator[Job]:
    """Yield the jobs that changed after a time, and some from before, in the order of change."""
    window = private(change={"$gt": oldest_change(since), "$lt": ObjectId("f" * 24)}) | {**visible}
    order = [*private(change=1).items()]
    # With a hint, as the planner might choose the index of the owner, and sort.
    return find_jobs(database, window, _FIELDS, sort=order, hint=order)
