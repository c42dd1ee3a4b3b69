"""Quotas of users: runs in total, and runs at once; for storage see `jobserver.storage.usage`.

A user's document holds how many of their jobs were started (``charged``), and a list of those not
settled yet (``open``): the tokens that queued or running jobs carry in their private part. Charging
and settling are one update each, guarded by the token, so each happens once however often it is
tried. A server may be killed between the end of a job and its settling, or between charging and
queueing. So open entries are compared with the jobs whenever a limit is hit, and before a job is
deleted. Settling also adds what the run stored to the user's storage.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from bson import ObjectId

from jobserver.errors import StoreUnavailable, TooMany
from jobserver.jobs.job import PRIVATE, TERMINAL, Job, State, find_jobs, private
from jobserver.jobs.outcome import INTERRUPTED
from jobserver.sizes import rounded_size
from jobserver.storage.clock import age, new_id
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

#: Time after which the charge for a job that is not queued is checked.
_LATE = timedelta(seconds=10)


class Quotas:
    """The quotas of the users of one database.

    Parameters
    ----------
    database : Database
        Where users and jobs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database["users"]
        self._jobs = database["jobs"]

    @contextmanager
    def charged(self, job: Job) -> Iterator[dict[str, ObjectId]]:
        """Charge a job's owner for a run; give it back if the block fails.

        Yields
        ------
        dict
            Fields to store in the job's private part.

        Raises
        ------
        TooMany
            If a quota is used up; the message names it and what is left.
        """
        owner = job.owner
        if owner is None:
            yield {}
            return
        token = new_id()
        if not self._charge(owner, token, job):
            self.reconcile(owner)
            if not self._charge(owner, token, job):
                raise self._used_up(owner)
        try:
            yield {"charge": token}
        except StoreUnavailable:  # it may be queued; `reconcile` finds out
            raise
        except BaseException:
            self._settle(owner, token, 0, given_back=True)
            raise

    def give_back(self, job: Job, charge: Mapping[str, ObjectId]) -> None:
        """Give back the charge for a job that was not queued after all."""
        if charge and job.owner:
            self._settle(job.owner, charge["charge"], 0, given_back=True)

    def settle(self, job: Job, error: str | None, size: int) -> None:
        """Settle the charge for a job that ended; give it back if the job was interrupted.

        Parameters
        ----------
        error : str or None
            The job's ``error``.
        size : int
            Its ``RunState.result_size``.

        While the database is away nothing is raised: `reconcile` settles it later.
        """
        owner, token = job.owner, job.run.charge
        if owner is None or token is None:
            return
        try:
            self._settle(owner, token, size, given_back=error == INTERRUPTED)
        except StoreUnavailable as unavailable:
            log.warning("the charge for job %s will be settled later: %s", job.id, unavailable)

    def reconcile(self, owner: ObjectId) -> None:
        """Compare open charges with the jobs, and settle those left over."""
        user = self._find(owner)
        if user is None or not user["open"]:
            return
        ids = {"_id": {"$in": [entry["job"] for entry in user["open"]]}}
        found = find_jobs(self._database, ids, ["state", "error", PRIVATE])
        jobs = {job.id: job for job in found}
        for entry in user["open"]:
            self._settle_entry(owner, entry["token"], jobs.get(entry["job"]))

    def _settle_entry(self, owner: ObjectId, token: ObjectId, job: Job | None) -> None:
        if job is not None and job.run.charge == token:
            if job.state in TERMINAL:
                given_back = job.error == INTERRUPTED
                self._settle(owner, token, job.run.result_size, given_back=given_back)
        elif age(token) > _LATE and self._is_void(job):
            self._settle(owner, token, 0, given_back=True)

    def _is_void(self, job: Job | None) -> bool:
        """Make sure that a job cannot be queued with an old charge any more.

        A server that still tries to requires the id of the job's last change, which is replaced.
        """
        if job is None or job.state is not State.CREATED:
            return True
        seen = {"_id": job.id, **private(change=job.run.change)}
        change = {"$set": private(change=new_id())}
        return self._database.call(self._jobs.update_one, seen, change).modified_count > 0

    def _charge(self, owner: ObjectId, token: ObjectId, job: Job) -> bool:
        """Charge a user for a job if their quotas allow it."""
        user = self._find(owner)
        if user is None or user["job_limit"] < 1 or not user["active"]:
            return False
        guard: Document = {"_id": owner, "active": True, "open.token": {"$ne": token}}
        guard[f"open.{user['job_limit'] - 1}"] = {"$exists": False}
        if user["job_quota"] is not None:
            guard["charged"] = {"$lt": user["job_quota"]}
        if user["storage_quota"] is not None:
            guard["stored"] = {"$not": {"$gt": user["storage_quota"]}}
        entry = {"token": token, "job": job.id}
        update = {"$push": {"open": entry}, "$inc": {"charged": 1}}
        if self._database.call(self._users.update_one, guard, update).modified_count:
            return True
        made = {"_id": owner, "open.token": token}  # by a try whose answer was lost
        return self._database.call(self._users.find_one, made, {"_id": 1}) is not None

    def _settle(self, owner: ObjectId, token: ObjectId, size: int, *, given_back: bool) -> None:
        added = {"stored": size, "charged": -1 if given_back else 0}
        update: Document = {"$pull": {"open": {"token": token}}, "$inc": added}
        update["$set"] = {"stored_change": new_id()}
        guard = {"_id": owner, "open.token": token}
        self._database.call(self._users.update_one, guard, update)

    def _used_up(self, owner: ObjectId) -> TooMany:
        user = self._find(owner)
        if user is None or not user["active"]:
            return TooMany("The owner of the job may not run jobs: their account is closed.")
        quota, limit = user["job_quota"], user["job_limit"]
        if quota is not None and user["charged"] >= quota:
            return TooMany(
                f"The job_quota of {quota} jobs in total is used up: 0 are left. "
                "An administrator can raise it."
            )
        used, most = user.get("stored", 0), user["storage_quota"]
        if most is not None and used > most:
            return TooMany(
                f"The storage_quota of {rounded_size(most)} is used up, with {rounded_size(used)} "
                "of files, data, jobs, results and logs. Delete what you no longer need."
            )
        return TooMany(
            f"The job_limit of {limit} jobs at once is reached: {len(user['open'])} are queued or "
            "running, 0 are left. Wait for one to end, or cancel it.",
            retry_after=5,
        )

    def _find(self, owner: ObjectId) -> Document | None:
        return self._database.call(self._users.find_one, {"_id": owner})
