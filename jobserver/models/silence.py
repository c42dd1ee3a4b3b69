"""Which runs fell silent: what one process sees of the heartbeats of all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from jobserver.database import Document
from jobserver.documents import JobId

LOOKS_PER_LEASE = 6


class Watch:
    """Tells runs whose owner is gone from those whose heartbeat was only held up.

    When a clock jumps, a database hangs or a machine sleeps, every heartbeat is old at once. So one
    has to stand still for a while under our eyes before its run counts as silent, and the time that
    passed between two looks counts for no more than it should have been.

    Parameters
    ----------
    lease : float
        Seconds; `silent` is to be called `LOOKS_PER_LEASE` times in that time.
    """

    def __init__(self, lease: float) -> None:
        self._pause = timedelta(seconds=lease / LOOKS_PER_LEASE)
        self._looked = datetime.min
        self._seen: dict[JobId, tuple[datetime, timedelta]] = {}

    def silent(self, running: Iterable[Document], now: datetime) -> list[Document]:
        """Those of the running jobs whose lease is over.

        Parameters
        ----------
        running : iterable of dict
            All running jobs.
        now : datetime
            By the clock that the heartbeats come from.
        """
        passed = min(max(now - self._looked, timedelta()), self._pause)
        self._looked = now
        jobs = list(running)
        self._seen = {job["_id"]: self._still(job, passed) for job in jobs}
        return [job for job in jobs if _is_over(job, self._seen[job["_id"]][1], now)]

    def _still(self, job: Document, passed: timedelta) -> tuple[datetime, timedelta]:
        """A job's last heartbeat, and for how long we saw none after it."""
        beat: datetime = job["_run"]["beat"]
        seen, still = self._seen.get(job["_id"], (None, timedelta()))
        return beat, still + passed if seen == beat else timedelta()


def _is_over(job: Document, still: timedelta, now: datetime) -> bool:
    """Whether a lease is over: a living owner renews it more than twice in a third of it."""
    lease = timedelta(seconds=job["_run"]["lease"])
    return still >= lease or (still > lease / 3 and now - job["_run"]["beat"] > lease)
