"""Deleting jobs some time after their end, unless they are pinned."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from jobserver.errors import StoreUnavailable
from jobserver.jobs.deletion import NEEDED_TO_DELETE
from jobserver.jobs.listing.listing import Place, Selection
from jobserver.jobs.store import Jobs
from jobserver.storage.database import Document
from jobserver.storage.documents import utcnow

log = logging.getLogger(__name__)


#: Jobs that are looked at together, and seconds until the next are.
_BATCH = 50


_STEP_SECONDS = 0.2


_LONGEST_PAUSE = 600.0


_SELECTED = Selection({}, (*NEEDED_TO_DELETE, "finished", "pinned"))


class Retention:
    """A thread that looks through all jobs again and again, a few at a time.

    Not a duty of the keeper: deleting large results may take longer than leases last.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the server.
    seconds : int
        How long after its end a job is deleted; 0 for never.
    """

    def __init__(self, jobs: Jobs, seconds: int) -> None:
        self._jobs = jobs
        self._age = timedelta(seconds=seconds)
        self._place: Place | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)

    def start(self) -> None:
        """Begin, if jobs are deleted at all."""
        if self._age:
            self._thread.start()

    def stop(self) -> None:
        """End, after the jobs that are being deleted."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def sweep(self) -> bool:
        """Look at some jobs, and delete those that are due; whether these were the last."""
        limit = utcnow() - self._age
        jobs, place = self._jobs.listing.page(_SELECTED, _BATCH, self._place)
        self._place = place if jobs and jobs[-1]["created"] < limit else None
        due = [job for job in jobs if _is_due(job, limit)]
        if due:
            deleted = self._jobs.removal.delete(due)
            log.info("%d jobs were deleted: they ended before %s", deleted, limit)
        return self._place is None

    def _work(self) -> None:
        pause = _STEP_SECONDS
        while not self._over.wait(pause):
            pause = _STEP_SECONDS
            try:
                if self.sweep():
                    pause = min(max(self._age.total_seconds() / 10, 1.0), _LONGEST_PAUSE)
            except StoreUnavailable as error:
                log.warning("%s", error)
                pause = error.retry_after or pause
            except Exception:  # it goes on as long as the server
                log.exception("jobs could not be deleted; it is tried again")
                pause = _LONGEST_PAUSE


def _is_due(job: Document, limit: datetime) -> bool:
    finished = job.get("finished")
    return finished is not None and finished < limit and job.get("pinned") is not True
