"""Quotas of users: runs in total, runs at once, storage of data files.

A user's document holds how many of their jobs were started (``charged``), and a list of those not
settled yet (``open``): the tokens that queued or running jobs carry in their private part. Charging
and settling are one update each, guarded by the token, so each happens once however often it is
tried. A server may be killed between the end of a job and its settling, or between charging and
queueing. So open entries are compared with the jobs whenever a limit is hit, and before a job is
deleted.

The storage used is the sum of the sizes of the data files; ``uploads`` holds those being stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from jobserver.errors import StoreUnavailable, TooMany
from jobserver.jobs.job import PRIVATE, TERMINAL, Job, State, find_jobs, private
from jobserver.jobs.outcome import INTERRUPTED
from jobserver.sizes import rounded_size
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

#: Time after which the charge for a job that is not queued is checked.
_LATE = timedelta(seconds=10)
#: Time after which the server that stored an upload is considered gone.
_UPLOADS_LAST = timedelta(hours=1)


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
        token = ObjectId()
        if not self._charge(owner, token, job):
            self.reconcile(owner)
            if not self._charge(owner, token, job):
                raise self._used_up(owner)
        try:
            yield {"charge": token}
        except StoreUnavailable:  # it may be queued; `reconcile` finds out
            raise
        except BaseException:
            self._settle(owner, token, given_back=True)
            raise

    def give_back(self, job: Job, charge: Mapping[str, ObjectId]) -> None:
        """Give back the charge for a job that was not queued after all."""
        if charge and job.owner:
            self._settle(job.owner, charge["charge"], given_back=True)

    def settle(self, job: Job, error: str | None) -> None:
        """Settle the charge for a job that ended; give it back if the job was interrupted.

        While the database is away nothing is raised: `reconcile` settles it later.
        """
        owner, token = job.owner, job.run.charge
        if owner is None or token is None:
            return
        try:
            self._settle(owner, token, given_back=error == INTERRUPTED)
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
                self._settle(owner, token, given_back=job.error == INTERRUPTED)
        elif datetime.now(UTC) - token.generation_time > _LATE and self._is_void(job):
            self._settle(owner, token, given_back=True)

    def _is_void(self, job: Job | None) -> bool:
        """Make sure that a job cannot be queued with an old charge any more.

        A server that still tries to requires the id of the job's last change, which is replaced.
        """
        if job is None or job.state is not State.CREATED:
            return True
        seen = {"_id": job.id, **private(change=job.run.change)}
        change = {"$set": private(change=ObjectId())}
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
        entry = {"token": token, "job": job.id}
        update = {"$push": {"open": entry}, "$inc": {"charged": 1}}
        if self._database.call(self._users.update_one, guard, update).modified_count:
            return True
        made = {"_id": owner, "open.token": token}  # by a try whose answer was lost
        return self._database.call(self._users.find_one, made, {"_id": 1}) is not None

    def _settle(self, owner: ObjectId, token: ObjectId, *, given_back: bool) -> None:
        update: Document = {"$pull": {"open": {"token": token}}}
        if given_back:
            update["$inc"] = {"charged": -1}
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
        return TooMany(
            f"The job_limit of {limit} jobs at once is reached: {len(user['open'])} are queued or "
            "running, 0 are left. Wait for one to end, or cancel it.",
            retry_after=5,
        )

    def _find(self, owner: ObjectId) -> Document | None:
        return self._database.call(self._users.find_one, {"_id": owner})

    @contextmanager
    def room(
        self, owner: ObjectId | None, name: str, size: int, stored: Callable[[], dict[str, int]]
    ) -> Iterator[None]:
        """Reserve storage for a data file while it is stored.

        Parameters
        ----------
        name, size
            Name of the file, and its size in bytes.
        stored : callable
            Returns name and size of each of the user's data files.

        Raises
        ------
        TooMany
            If the storage quota leaves too little.
        """
        if owner is None:
            yield
            return
        entry = {"token": ObjectId(), "name": name, "size": size}
        while not self._reserve(owner, entry, stored):
            continue  # another upload changed it meanwhile: check again
        try:
            yield
        finally:
            guard = {"_id": owner, "uploads.token": entry["token"]}
            update = {"$pull": {"uploads": {"token": entry["token"]}}}
            change = {"$set": {"change": ObjectId()}}
            self._database.call(self._users.update_one, guard, update | change)

    def _reserve(
        self, owner: ObjectId, entry: Document, stored: Callable[[], dict[str, int]]
    ) -> bool:
        user = self._find(owner) or {"uploads": [], "storage_quota": 0, "change": None}
        oldest = datetime.now(UTC) - _UPLOADS_LAST
        ongoing = [one for one in user["uploads"] if one["token"].generation_time > oldest]
        if entry in ongoing:
            return True  # a try whose answer was lost
        sizes = stored()
        for one in ongoing:
            sizes[one["name"]] = max(one["size"], sizes.get(one["name"], 0))
        quota, used = user["storage_quota"], sum(sizes.values())
        if quota is not None and used + entry["size"] > quota:
            left = rounded_size(max(quota - used, 0))
            raise TooMany(
                f"The storage_quota of {rounded_size(quota)} leaves {left}, and the file has "
                f"{rounded_size(entry['size'])}. Delete files that you no longer need."
            )
        seen = {"_id": owner, "change": user["change"]}
        values = {"uploads": [*ongoing, entry], "change": ObjectId()}
        done = self._database.call(self._users.update_one, seen, {"$set": values})
        return done.modified_count > 0
