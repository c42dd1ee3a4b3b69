"""Which runs fell silent: what one process sees of the heartbeats of all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from jobserver.database import Document
from jobserver.models.job import JobId


class Watch:
    """Tells runs whose owner is gone from those whose heartbeat was only held up.

    When a clock jumps, a database hangs or a machine sleeps, every heartbeat is old at once. So one
    has to stand still for a while under our eyes before its run counts as silent, and eyes that
    were closed for too long begin anew.

    Parameters
    ----------
    lease : float
        Seconds; `silent` has to be called several times in that time.
    """

    def __init__(self, lease: float) -> None:
        self._longest_gap = timedelta(seconds=lease / 2)
        self._looked = datetime.min
        self._seen: dict[JobId, tuple[datetime, datetime]] = {}

    def silent(self, running: Iterable[Document], now: datetime) -> list[Document]:
        """Those of the running jobs whose lease is over.

        Parameters
        ----------
        running : iterable of dict
            All running jobs.
        now : datetime
            By the clock that the heartbeats come from.
        """
        if not timedelta() <= now - self._looked <= self._longest_gap:
            self._seen.clear()
        self._looked = now
        jobs = list(running)
        self._seen = {job["_id"]: self._since(job, now) for job in jobs}
        return [job for job in jobs if _is_over(job, self._seen[job["_id"]][1], now)]

    def _since(self, job: Document, now: datetime) -> tuple[datetime, datetime]:
        """A job's last heartbeat, and when we saw it first."""
        beat: datetime = job["_run"]["beat"]
        seen = self._seen.get(job["_id"])
        return seen if seen and seen[0] == beat else (beat, now)


def _is_over(job: Document, since: datetime, now: datetime) -> bool:
    """Whether a lease is over: a living owner renews it more than twice in a third of it."""
    lease = timedelta(seconds=job["_run"]["lease"])
    still = now - since
    return still >= lease or (still >= lease / 3 and now - job["_run"]["beat"] > lease)
