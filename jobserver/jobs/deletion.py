"""Deletion of jobs with all that was stored for them: on request, and some time after their end."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobserver.errors import StoreUnavailable
from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, PRIVATE, Job
from jobserver.jobs.listing import Cursor, Selection
from jobserver.jobs.notifications import Notifications
from jobserver.jobs.quotas import Quotas
from jobserver.jobs.results import Results
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.storage.documents import OWNER
from jobserver.storage.duties import Duty
from jobserver.storage.usage import StorageUsage

if TYPE_CHECKING:
    from jobserver.jobs.store import Jobs

log = logging.getLogger(__name__)

#: Fields of a job without which it cannot be deleted.
NEEDED_TO_DELETE = ("state", "created", OWNER, PRIVATE)
#: Jobs that `Retention` looks at together, and seconds between two such batches.
_BATCH = 50
_BATCH_SECONDS = 0.2
#: Longest pause between two sweeps through all jobs, in seconds.
_LONGEST_PAUSE = 600.0
#: Least time for which the sweeps stay with one server, in seconds.
_LEAST_DUTY = 60.0
_SELECTED = Selection({}, (*NEEDED_TO_DELETE, "finished", "pinned"))


class JobDeleter:
    """Deletes jobs of one database, with their logs and results.

    Parameters
    ----------
    quotas : Quotas
        What the runs were charged to.
    results : Results
        The large results of jobs.
    notifications : Notifications
        The mails that jobs still owe.
    """

    def __init__(
        self, database: Database, quotas: Quotas, results: Results, notifications: Notifications
    ) -> None:
        self._database = database
        self._quotas = quotas
        self._results = results
        self._notifications = notifications
        self._usage = StorageUsage(database)
        self._jobs = database["jobs"]

    def delete(self, jobs: list[Job]) -> int:
        """Delete those jobs that may be deleted, and what was stored for them.

        Parameters
        ----------
        jobs : list of Job
            With at least `NEEDED_TO_DELETE`. One whose state changed since is kept.

        Returns
        -------
        int
            How many were deleted.
        """
        self._notifications.send_for([job.id for job in jobs if job.run.mail])
        self._settle(jobs)
        with self._results.settled(jobs):
            deleted = self._delete(jobs)
            ids = {"_id": {"$in": [job.id for job in jobs]}}
            left = {found["_id"] for found in self._database.find("jobs", ids, projection=["_id"])}
            logs.delete(self._database, [job.run.key for job in jobs if job.id not in left])
        return deleted

    def _settle(self, jobs: list[Job]) -> None:
        """Settle open charges of these runs: without the job, their outcome is unknown."""
        for owner in {job.owner for job in jobs if job.owner and job.run.charge}:
            self._quotas.reconcile(owner)

    def _delete(self, jobs: list[Job]) -> int:
        """Delete jobs whose state and owner did not change; return how many."""
        groups = defaultdict(list)
        for job in jobs:
            if job.state not in ACTIVE:
                groups[job.state, job.owner].append(job)
        total = 0
        for (state, owner), same in groups.items():
            query = {"_id": {"$in": [job.id for job in same]}, "state": state, OWNER: owner}
            deleted = self._database.call(self._jobs.delete_many, query).deleted_count
            if deleted == len(same):  # else it is unknown which: a recount puts that right
                self._usage.release(owner, sum(job.run.size + job.run.result_size for job in same))
            total += deleted
        return total


class Retention:
    """A thread that deletes jobs some time after their end, unless they are pinned.

    Of the servers of a database one does it at a time. It sweeps through all jobs again and again,
    a few at a time. `Maintenance` cannot do that: deleting large results may take longer than a
    lease.

    Parameters
    ----------
    jobs : Jobs
        The jobs of the server.
    seconds : int
        Age at which a job is deleted, counted from its end; 0 for never.
    """

    def __init__(self, jobs: Jobs, seconds: int) -> None:
        self._jobs = jobs
        self._age = timedelta(seconds=seconds)
        self._cursor: Cursor | None = None
        self._pause = min(max(seconds / 10, 1.0), _LONGEST_PAUSE)
        self._duty = Duty(jobs.database, "retention", max(3 * self._pause, _LEAST_DUTY))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="retention", daemon=True)

    def start(self) -> None:
        """Start the thread, if jobs are deleted at all."""
        if self._age:
            self._thread.start()

    def stop(self) -> None:
        """Stop, after the jobs that are being deleted."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
            self._duty.leave()

    def sweep(self) -> bool:
        """Look at some jobs, and delete those that are due; return whether the sweep is over."""
        limit = utcnow() - self._age
        jobs, cursor = self._jobs.listing.page(_SELECTED, _BATCH, self._cursor)
        self._cursor = cursor if jobs and jobs[-1].created < limit else None
        due = [job for job in jobs if _is_due(job, limit)]
        if due:
            deleted = self._jobs.deleter.delete(due)
            log.info("deleted %d jobs that ended before %s", deleted, limit)
        return self._cursor is None

    def _work(self) -> None:
        pause = _BATCH_SECONDS
        while not self._over.wait(pause):
            pause = _BATCH_SECONDS
            try:
                if not self._duty.is_mine() or self.sweep():
                    pause = self._pause
            except StoreUnavailable as error:
                log.warning("%s", error)
                pause = error.retry_after or pause
            except Exception:  # it goes on as long as the server
                log.exception("jobs could not be deleted; it will be tried again")
                pause = _LONGEST_PAUSE


def _is_due(job: Job, limit: datetime) -> bool:
    return job.finished is not None and job.finished < limit and not job.is_pinned
