"""The queue of one server: the ids of jobs that wait for a slot, and the limit on their number."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from jobserver.errors import TooMany
from jobserver.storage.documents import JobId

#: Seconds between two counts in the database by a server that queues jobs, and by one that
#: considers its queue full.
_COUNT_SECONDS = 3.0
_COMING = 20


class JobQueue:
    """A queue whose waiters can be woken to look for other work."""

    def __init__(self) -> None:
        self._ids: deque[JobId] = deque()
        self._changed = threading.Condition()
        self._wakes = 0

    def put(self, job_id: JobId) -> None:
        """Add a job."""
        with self._changed:
            self._ids.append(job_id)
            self._changed.notify()

    def take(self, seconds: float) -> JobId | None:
        """Remove and return the oldest job; None after so many seconds, or when woken."""
        due = time.monotonic() + seconds
        with self._changed:
            wakes = self._wakes
            while not self._ids and wakes == self._wakes and (left := due - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._ids.popleft() if self._ids else None

    def __iter__(self) -> Iterator[JobId]:
        """Iterate over the next few jobs."""
        with self._changed:
            return iter([*islice(self._ids, _COMING)])

    def wake_all(self) -> None:
        """Have all waiters look for other work."""
        with self._changed:
            self._wakes += 1
            self._changed.notify_all()

    @property
    def is_empty(self) -> bool:
        """Whether no job waits."""
        return not self._ids


class QueueLimit:
    """Limits the number of waiting jobs, without counting them at each request.

    Other servers may queue jobs too, and run those that this one queued. So it counts in the
    database every few seconds while jobs are queued, and before it reports a full queue, though not
    at every request. Several servers may exceed the limit by what they queue in these seconds.

    Parameters
    ----------
    limit : int
        Most jobs that may wait.
    find_waiting : callable
        Returns the ids of all waiting jobs.
    """

    def __init__(self, limit: int, find_waiting: Callable[[], Iterable[JobId]]) -> None:
        self._limit = limit
        self._find_waiting = find_waiting
        self._waiting: set[JobId] = set()
        self._entering: set[JobId] = set()
        self._due = 0.0
        self._old = time.monotonic() + _COUNT_SECONDS
        self._lock = threading.Lock()

    @contextmanager
    def entered(self, job_id: JobId) -> Iterator[None]:
        """Count a job that is being queued; no longer if the block fails.

        Raises
        ------
        TooMany
            If the queue is full.
        """
        if time.monotonic() >= self._old:
            self._count()
        if not self._enter(job_id):
            self._count_again()
            if not self._enter(job_id):
                message = f"The queue is full: {len(self)} jobs wait. Try again later."
                raise TooMany(message, retry_after=10)
        try:
            yield
        except BaseException:
            self.leave(job_id)
            raise
        finally:
            with self._lock:
                self._entering.discard(job_id)

    def __len__(self) -> int:
        return len(self._waiting)

    def leave(self, job_id: JobId) -> None:
        """Note that a job does not wait any more."""
        with self._lock:
            self._waiting.discard(job_id)

    def add(self, job_ids: Iterable[JobId]) -> None:
        """Count jobs that other servers queued."""
        with self._lock:
            self._waiting.update(job_ids)

    def _enter(self, job_id: JobId) -> bool:
        with self._lock:
            if len(self._waiting) >= self._limit:
                return False
            self._waiting.add(job_id)
            self._entering.add(job_id)
            return True

    def _count_again(self) -> None:
        """Find the jobs that wait now, unless that was done a moment ago."""
        with self._lock:
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + _COUNT_SECONDS
        self._count()

    def _count(self) -> None:
        self._old = time.monotonic() + _COUNT_SECONDS
        found = set(self._find_waiting())
        with self._lock:
            self._waiting = found | self._entering
