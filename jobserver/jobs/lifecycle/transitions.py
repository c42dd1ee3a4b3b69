"""The life of a run: each change of a job's state is one guarded update here.

::

    created --enqueue--> queued --claim--> running --finish--> finished | failed | cancelled
                         ^  |                    |
                         |  +------cancel--------|-----------> cancelled
                         +- finish, retries left +

An accepted run starts at most once: `claim` requires that the job is queued and unchanged, and
counts the attempt in the same update. Every later update of a run requires its attempt, or the id
of the last change that its slot made. A running job carries its owner's heartbeat in the database's
own time; `JobLifecycle.recover` finds those whose lease expired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import pymongo
from pymongo.errors import ExecutionTimeout

from jobserver.errors import Conflict, StoreUnavailable
from jobserver.jobs import logs
from jobserver.jobs.job import ACTIVE, PRIVATE, Job, State, find_jobs, private
from jobserver.jobs.lifecycle.claims import Claim, Claims, LeaseMonitor
from jobserver.jobs.outcome import (
    CANCELLED,
    CANCELLED_EARLY,
    NOT_OURS,
    Outcome,
    ended,
    ended_fields,
    lease_expired,
    may_be_retried,
    requeued,
    result_size,
)
from jobserver.jobs.store import Jobs
from jobserver.jobs.updates import GuardedUpdate
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER, JobId

_NOT_CANCELLED = private(cancel={"$exists": False})
_NOTHING: Mapping[str, object] = {}
#: Seconds that the database gets to count the queue; Prometheus waits for ten.
QUEUE_SECONDS = 2.0


class Queue(NamedTuple):
    """The queued jobs: how many, and since when the first of them waits."""

    length: int
    since: datetime | None


class JobLifecycle:
    """Changes the states of the jobs of one database.

    Parameters
    ----------
    owner : str
        Name of the executor that claims; unique for each process.
    lease : float
        Seconds without a heartbeat after which a run counts as interrupted.
    """

    def __init__(self, database: Database, owner: str, lease: float) -> None:
        self.jobs = Jobs(database)
        self.claims = Claims(database, owner, lease)
        self.owner, self.lease = owner, lease
        self._leases = LeaseMonitor(lease)
        self.database = database
        self._collection = database["jobs"]

    def enqueue(
        self, seen: Job, bound: Mapping[str, object], run: Mapping[str, object] = _NOTHING
    ) -> Job | None:
        """created -> queued; return the job, or None if it changed since it was seen.

        Parameters
        ----------
        seen : Job
            The job as it was checked.
        bound : mapping
            Resolved ``script`` and ``data``.
        run : mapping
            Further fields of the private part.

        Raises
        ------
        Unavailable
            If the disk is too full.
        """
        self.database.check_room()
        if seen.state is not State.CREATED:
            return None
        now = utcnow()
        values = {**bound, "started": now, "edited": now, "state": State.QUEUED}
        change = GuardedUpdate.if_unchanged(seen, {**values, **private(**run)})
        return change.applied(seen) if self._made(change) else None

    def finish(
        self, job: Job, outcome: Outcome, claim: Claim | None = None, **guard: object
    ) -> State | None:
        """running -> a terminal state, or queued again if retries are left.

        Parameters
        ----------
        claim : Claim, optional
            The claim of the job that its slot runs next; made in the same request if possible.
        **guard
            Further conditions on fields of the private part.

        Returns
        -------
        State or None
            The new state; None if this attempt is over already: it came too late.
        """
        if outcome.state is State.QUEUED or may_be_retried(job, outcome):
            if self._requeue(job, outcome, guard):
                return State.QUEUED
            outcome, guard = CANCELLED, {**guard, "cancel": True}
        update = ended(outcome, job, self._printed(job))
        if not self._end(job, update, claim, guard):
            return None
        self.jobs.quotas.settle(job, outcome.error, result_size(update[0]))
        return outcome.state

    def _printed(self, job: Job) -> int:
        """Return the bytes of output that count in the storage quota of a job's owner."""
        return logs.size(self.database, job.run.key, job.run.attempt) if job.owner else 0

    def _requeue(self, job: Job, outcome: Outcome, guard: Mapping[str, object]) -> bool:
        """Queue a running job again, unless it was cancelled."""
        query = _attempt(job, guard) | _NOT_CANCELLED
        return self._made(GuardedUpdate.build(job.id, query, *requeued(outcome, job)))

    def _end(
        self,
        job: Job,
        update: tuple[Document, Document],
        claim: Claim | None,
        guard: Mapping[str, object],
    ) -> bool:
        """End a running job, and make a claim in the same request if nobody else changed it."""
        if not guard and self._made(GuardedUpdate.if_unchanged(job, *update), claim):
            return True
        return self._made(GuardedUpdate.build(job.id, _attempt(job, guard), *update))

    def is_finished(self, job: Job, outcome: Outcome) -> bool:
        """Whether an attempt ended with this outcome already, and only the answer was lost."""
        query = {"_id": job.id, **private(attempt=job.run.attempt)}
        query |= {"finished": outcome.finished}
        return self.database.call(self._collection.find_one, query, {"_id": 1}) is not None

    def _made(self, change: GuardedUpdate, claim: Claim | None = None) -> bool:
        """Make a change, and a claim in the same request; whether the change was made."""
        if claim is None:
            return self.jobs.updates.make(change)[0]
        done, claim.made = self.jobs.updates.make(change, claim.change)
        return done

    def cancel(self, job_id: JobId, visible: Mapping[str, object] = _NOTHING) -> Job:
        """Cancel a job: at once if it is queued, through its executor if it is running.

        Parameters
        ----------
        visible : mapping
            Filter of the jobs that may be cancelled; see `users.policy.visibility_filter`.

        Returns
        -------
        Job
            The job as it is now.

        Raises
        ------
        NotFound, Conflict
            If there is no such job, or it is neither queued nor running.
        """
        while (job := self.jobs.get(job_id, visible)).state in ACTIVE:
            if self._cancelled(job, visible):
                return self.jobs.get(job_id, visible)
        raise Conflict(
            f"The job {job_id} {job.state.described}; only queued and running jobs can be "
            "cancelled."
        )

    def _cancelled(self, job: Job, visible: Mapping[str, object]) -> bool:
        """Cancel a job in the state it was seen in; False if the state changed since."""
        seen = {**visible, "state": job.state}
        if job.state is State.RUNNING:
            request = {**private(cancel=True), "message": "is being cancelled"}
            return self.jobs.change(job.id, seen, request)
        values = {
            **ended_fields(CANCELLED_EARLY, job, self._printed(job)),
            "state": State.CANCELLED,
        }
        if cancelled := self.jobs.change(job.id, seen, values):
            now = self.jobs.get(job.id, visible)
            self.jobs.quotas.settle(now, CANCELLED_EARLY.error, now.run.result_size)
        return cancelled

    def report(
        self, job: Job, fraction: float, message: str | None, steps: Iterable[Document] = ()
    ) -> Job:
        """Store the progress of a running attempt, and the steps of a pipeline.

        Returns
        -------
        Job
            The job after that; as it was if this attempt is over already.
        """
        values: Document = {"progress": fraction}
        values |= {} if message is None else {"message": message}
        values |= {"steps": list(steps)} if steps else {}
        change = GuardedUpdate.build(job.id, _attempt(job), values)
        return change.applied(job) if self._made(change) else job

    def explain_wait(self, job_id: JobId, reason: str) -> None:
        """Say in the ``message`` of a queued job why it waits; its claim removes that."""
        self.jobs.change(job_id, {"state": State.QUEUED}, {"message": f"waits: {reason}"})

    def waiting(self) -> list[JobId]:
        """Return the ids of the queued jobs, the oldest first."""
        found = find_jobs(self.database, {"state": State.QUEUED}, ["started"])
        return [job.id for job in sorted(found, key=lambda job: job.started or datetime.min)]

    def queue(self) -> Queue:
        """Return how many jobs wait in the database, and since when.

        A job that is tried again waits since its last attempt.

        Raises
        ------
        StoreUnavailable
            If the database does not answer within `QUEUE_SECONDS`.
        """
        since = {"$cond": [{"$gt": [f"${PRIVATE}.attempt", 0]}, "$edited", "$started"]}
        group = {"_id": None, "length": {"$sum": 1}, "since": {"$min": since}}
        steps = [{"$match": {"state": State.QUEUED}}, {"$group": group}]
        try:
            with pymongo.timeout(QUEUE_SECONDS):
                found = [*self.database.call(self._collection.aggregate, steps)]
        except ExecutionTimeout as error:
            raise StoreUnavailable("The database did not count the queue in time.") from error
        return Queue(found[0]["length"], found[0]["since"]) if found else Queue(0, None)

    def renew_leases(self, job_ids: Iterable[JobId]) -> None:
        """Renew the leases of jobs that this owner runs, by the database's time."""
        mine = {"_id": {"$in": list(job_ids)}, **private(owner=self.owner)}
        update = {"$currentDate": private(beat=True)}
        self.database.call(self._collection.update_many, mine, update)

    def adopt(self, job: Job) -> bool:
        """Become the owner of an attempt that waited in the spool; False if it is over already."""
        values = private(owner=self.owner, lease=self.lease)
        return self.jobs.change(job.id, _attempt(job), values, currentDate=private(beat=True))

    def stop_requests(self, attempts: Mapping[JobId, int]) -> dict[JobId, Outcome]:
        """Return the runs to stop: cancelled ones, and those that are not this owner's any more.

        Parameters
        ----------
        attempts : mapping
            Id and attempt of each run.
        """
        mine = {"_id": {"$in": list(attempts)}, "state": State.RUNNING, **private(owner=self.owner)}
        runs = {job.id: job.run for job in find_jobs(self.database, mine, [PRIVATE])}
        ours = [one for one, run in runs.items() if run.attempt == attempts[one]]
        lost = attempts.keys() - ours
        cancelled = [one for one, run in runs.items() if run.cancel]
        return dict.fromkeys(cancelled, CANCELLED) | dict.fromkeys(lost, NOT_OURS)

    def recover(self) -> list[tuple[JobId, State]]:
        """End the runs whose lease expired, each exactly once.

        To be called several times in the time of a lease; see `claims.LeaseMonitor`.

        Returns
        -------
        list
            Id and new state of each: *failed*, or *queued* if retries were left.
        """
        recovered = []
        needed = [PRIVATE, "started", "retries", OWNER]
        running = find_jobs(self.database, {"state": State.RUNNING}, needed)
        for job in self._leases.expired(running, self.database.now()):
            outcome = CANCELLED if job.run.cancel else lease_expired(job)
            state = self.finish(job, outcome, beat=job.run.beat)
            recovered += [(job.id, state)] if state else []
        return recovered


def _attempt(job: Job, guard: Mapping[str, object] = _NOTHING) -> Document:
    """Return the query for a running attempt, with conditions on its private part."""
    return {"state": State.RUNNING, **private(attempt=job.run.attempt, **guard)}
