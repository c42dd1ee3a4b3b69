"""The ids of jobs that wait for a slot, and the slots that wait for one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from jobserver.errors import TooMany
from jobserver.storage.documents import JobId

_NEXT = 20
#: Seconds between two looks into the database of a server that takes its queue for full.
LOOK_SECONDS = 3.0


class JobQueue:
    """A queue whose waiters can be sent to look for other work."""

    def __init__(self) -> None:
        self._ids: deque[JobId] = deque()
        self._changed = threading.Condition()
        self._calls = 0

    def put(self, job_id: JobId) -> None:
        """Add a job."""
        with self._changed:
            self._ids.append(job_id)
            self._changed.notify()

    def take(self, seconds: float) -> JobId | None:
        """The job that waited longest; None after some seconds, or when all were called."""
        due = time.monotonic() + seconds
        with self._changed:
            calls = self._calls
            while not self._ids and calls == self._calls and (left := due - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._ids.popleft() if self._ids else None

    def __iter__(self) -> Iterator[JobId]:
        """Those that come next, a few at the most."""
        with self._changed:
            return iter([*islice(self._ids, _NEXT)])

    def call(self) -> None:
        """Have all who wait look for other work."""
        with self._changed:
            self._calls += 1
            self._changed.notify_all()

    @property
    def empty(self) -> bool:
        """Whether no job waits."""
        return not self._ids


class QueueLimit:
    """Knows the jobs that wait, so that no request has to count them.

    Other servers may run what this one queued. So it looks into the database before it calls the
    queue full, but not for every request.

    Parameters
    ----------
    limit : int
        Most jobs that may wait.
    look : callable
        Gives the ids of all jobs that wait.
    """

    def __init__(self, limit: int, look: Callable[[], Iterable[JobId]]) -> None:
        self._limit = limit
        self._look = look
        self._waiting: set[JobId] = set()
        self._coming: set[JobId] = set()
        self._due = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, job_id: JobId) -> Iterator[None]:
        """Take a place for a job that is being queued; it is given back if that fails.

        Raises
        ------
        TooMany
            If there is none.
        """
        if not self._take(job_id):
            self._look_again()
            if not self._take(job_id):
                message = f"The queue is full: {len(self)} jobs wait. Try again later."
                raise TooMany(message, retry_after=10)
        try:
            yield
        except BaseException:
            self.leave(job_id)
            raise
        finally:
            with self._lock:
                self._coming.discard(job_id)

    def __len__(self) -> int:
        return len(self._waiting)

    def leave(self, job_id: JobId) -> None:
        """A job waits no longer."""
        with self._lock:
            self._waiting.discard(job_id)

    def add(self, job_ids: Iterable[JobId]) -> None:
        """Take in jobs that others queued."""
        with self._lock:
            self._waiting.update(job_ids)

    def _take(self, job_id: JobId) -> bool:
        with self._lock:
            if len(self._waiting) >= self._limit:
                return False
            self._waiting.add(job_id)
            self._coming.add(job_id)
            return True

    def _look_again(self) -> None:
        """See which jobs wait now, unless that was done a moment ago."""
        with self._lock:
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + LOOK_SECONDS
        found = set(self._look())
        with self._lock:
            self._waiting = found | self._coming
