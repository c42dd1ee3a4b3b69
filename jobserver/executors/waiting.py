"""The ids of jobs that wait for a slot, and the slots that wait for one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from jobserver.documents import JobId

_NEXT = 20


class Waiting:
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
