"""The life of a run: each change of a job's state is one guarded update here.

::

    created --enqueue--> queued --claim--> running --end--> finished | failed | cancelled
                         ^  |                 |
                         |  +----cancel-------|-----------> cancelled
                         +-- end, retries left+

An accepted run starts at most once: `claim` asks for a job that is queued, as it was seen, and
counts the attempt in the same update. Every later update of a run asks for the attempt that it
belongs to, or for the mark of the last change that its slot made. A running job carries its owner's
heartbeat in the database's own time; `JobLifecycle.recover` finds those that fell silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobserver.errors import Conflict
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.claims import Claim, Claims, LeaseMonitor
from jobserver.jobs.outcome import (
    CANCELLED,
    CANCELLED_EARLY,
    LOST,
    Outcome,
    ended,
    ended_fields,
    lease_expired,
    may_be_retried,
    requeued,
)
from jobserver.jobs.store import Jobs
from jobserver.jobs.updates import GuardedUpdate
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER, JobId, utcnow

_NOT_CANCELLED = {"_run.cancel": {"$exists": False}}
_NOBODYS = {"attempt": 0}
_NOTHING: Mapping[str, Any] = {}


class JobLifecycle:
    """The runs of the jobs of one database.

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
        self._watch = LeaseMonitor(lease)
        self.database = database
        self._collection = database["jobs"]

    def enqueue(
        self, seen: Document, bound: Mapping[str, Any], private: Mapping[str, Any] = _NOTHING
    ) -> Document | None:
        """created -> queued; the job, or None if it changed since it was seen.

        Parameters
        ----------
        seen : dict
            The job's document as it was checked.
        bound : mapping
            ``script`` and ``data`` as they were resolved.
        private : mapping
            Further fields of the private part.

        Raises
        ------
        Unavailable
            If the disk is too full for what may come of it.
        """
        self.database.check_room()
        if seen["state"] != State.CREATED:
            return None
        now = utcnow()
        values = {**bound, "started": now, "edited": now, "state": State.QUEUED}
        queued = self._made(GuardedUpdate.of_seen(seen, {**values, **private}))
        return {**seen, **values} if queued else None

    def claim(self, job_id: JobId, coming: Iterable[JobId] = ()) -> Document | None:
        """queued -> running for this owner; see `Claims.take`."""
        return self.claims.claim(job_id, coming)

    def end(
        self, job: Document, outcome: Outcome, claim: Claim | None = None, **guard: Any
    ) -> State | None:
        """running -> a terminal state, or queued again where retries are left.

        Parameters
        ----------
        claim : Claim, optional
            What its slot wants to run next. If it can go along, it is made in the same request.
        **guard
            Fields of the private part that must hold too.

        Returns
        -------
        State or None
            The new state; None if the attempt is not this one any more: it came too late.
        """
        private = {"attempt": job["_run"]["attempt"], **guard}
        query = {"state": State.RUNNING, **{f"_run.{name}": private[name] for name in private}}
        as_seen = not guard
        if outcome.state is State.QUEUED or may_be_retried(job, outcome):
            again = GuardedUpdate.build(job["_id"], query | _NOT_CANCELLED, *requeued(outcome, job))
            if self._made(again):
                return State.QUEUED
            outcome, query, as_seen = CANCELLED, query | {"_run.cancel": True}, False
        update = ended(outcome, job)
        # Nearly always nobody else changed the job, and the cheaper of two ways to guard will do.
        done = as_seen and self._made(GuardedUpdate.of_seen(job, *update), claim)
        if not done and not self._made(GuardedUpdate.build(job["_id"], query, *update)):
            return None
        self.jobs.quotas.settle(job, outcome.error)
        return outcome.state

    def is_ended(self, job: Document, outcome: Outcome) -> bool:
        """Whether an attempt ended so already, and only the answer to that was lost."""
        query = {"_id": job["_id"], "_run.attempt": job["_run"]["attempt"]}
        query |= {"finished": outcome.finished}
        return self.database.call(self._collection.find_one, query, {"_id": 1}) is not None

    def _made(self, change: GuardedUpdate, claim: Claim | None = None) -> bool:
        """Make a change, and a claim with it; whether the change was made."""
        if claim is None:
            return self.jobs.changes.make(change)[0]
        done, claim.made = self.jobs.changes.make(change, claim.change)
        return done

    def cancel(self, job_id: JobId, visible: Mapping[str, Any] = _NOTHING) -> Document:
        """Cancel a job: at once where it is queued, by its executor where it is running.

        Parameters
        ----------
        visible : mapping
            What holds for the jobs that may be cancelled; see `jobserver.users.visibility_filter`.

        Returns
        -------
        dict
            The job as it is now.

        Raises
        ------
        NotFound, Conflict
            If there is no such job, or it is neither queued nor running.
        """
        while (job := self.jobs.get(job_id, visible))["state"] in (State.QUEUED, State.RUNNING):
            if self._cancelled(job, visible):
                return self.jobs.get(job_id, visible)
        raise Conflict(
            f"The job {job_id} is {job['state']}; only queued and running jobs can be cancelled."
        )

    def _cancelled(self, job: Document, visible: Mapping[str, Any]) -> bool:
        """Cancel a job in the state that it was seen in; False if it has gone on since."""
        seen = {**visible, "state": job["state"]}
        if job["state"] == State.RUNNING:
            told = {"_run.cancel": True, "message": "is being cancelled"}
            return bool(self.jobs.change(job["_id"], seen, told))
        values = {**ended_fields(CANCELLED_EARLY, job), "state": State.CANCELLED}
        if cancelled := bool(self.jobs.change(job["_id"], seen, values)):
            self.jobs.quotas.settle(self.jobs.get(job["_id"], visible), CANCELLED_EARLY.error)
        return cancelled

    def report(
        self, job: Document, fraction: float, message: str | None, steps: Iterable[Document] = ()
    ) -> None:
        """Store how far a running attempt is, and the steps of a pipeline."""
        guard = {"state": State.RUNNING, "_run.attempt": job["_run"]["attempt"]}
        values: Document = {"progress": fraction}
        values |= {} if message is None else {"message": message}
        values |= {"steps": list(steps)} if steps else {}
        change = GuardedUpdate.build(job["_id"], guard, values)
        if self.jobs.changes.make(change)[0]:
            job["_run"]["change"] = change.mark

    def waiting(self) -> list[JobId]:
        """Ids of the queued jobs, those that waited longest first."""
        fields = ["started"]
        found = list(self.database.find("jobs", {"state": State.QUEUED}, projection=fields))
        return [job["_id"] for job in sorted(found, key=lambda job: job["started"])]

    def renew_leases(self, job_ids: Iterable[JobId]) -> None:
        """Renew the leases of jobs that this owner runs, by the database's time."""
        mine = {"_id": {"$in": list(job_ids)}, "_run.owner": self.owner}
        update = {"$currentDate": {"_run.beat": True}}
        self.database.call(self._collection.update_many, mine, update)

    def adopt(self, job: Document) -> bool:
        """Become the owner of an attempt that waited in the spool; False if it is over."""
        guard = {"state": State.RUNNING, "_run.attempt": job["_run"]["attempt"]}
        values = {"_run.owner": self.owner, "_run.lease": self.lease}
        return self.jobs.change(job["_id"], guard, values, currentDate={"_run.beat": True})

    def stop_requests(self, attempts: Mapping[JobId, int]) -> dict[JobId, Outcome]:
        """Those of this owner's runs that somebody cancelled, or that are not its own any more.

        Parameters
        ----------
        attempts : mapping
            Id and attempt of each run.
        """
        mine = {"_id": {"$in": list(attempts)}, "state": State.RUNNING, "_run.owner": self.owner}
        found = self.database.find("jobs", mine, projection=["_run.attempt", "_run.cancel"])
        runs = {job["_id"]: job["_run"] for job in found}
        lost = [one for one in attempts if runs.get(one, _NOBODYS)["attempt"] != attempts[one]]
        cancelled = [one for one, run in runs.items() if "cancel" in run]
        return dict.fromkeys(cancelled, CANCELLED) | dict.fromkeys(lost, LOST)

    def recover(self) -> list[tuple[JobId, State]]:
        """End the runs whose owner fell silent for longer than its lease, each exactly once.

        To be called several times in the time of a lease; see `claims.LeaseMonitor`.

        Returns
        -------
        list
            Id and new state of each: *failed*, or *queued* where retries were left.
        """
        ended = []
        needed = ["_run", "started", "retries", OWNER]
        running = self.database.find("jobs", {"state": State.RUNNING}, projection=needed)
        for job in self._watch.silent(running, self.database.now()):
            outcome = CANCELLED if job["_run"].get("cancel") else lease_expired(job)
            state = self.end(job, outcome, beat=job["_run"]["beat"])
            ended += [(job["_id"], state)] if state else []
        return ended
