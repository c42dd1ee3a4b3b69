"""What users have used of what they may use: runs, runs at once, room for data files.

A user's document holds how many of their jobs were started (``charged``), and a list of those that
are not settled yet (``open``): the tokens that queued or running jobs carry as ``_run.charge``.
Charging and settling are one update each, guarded by the token, so each happens once however often
it is tried. A server may be killed between the end of a job and its settling, or between charging
and queueing: what is open is then compared with the jobs, whenever a limit is met and before a job
is deleted.

The room that data files take is their sizes, added up; ``uploads`` holds what is being stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from jobserver.errors import StoreUnavailable, TooMany
from jobserver.jobs.job import TERMINAL, State
from jobserver.sizes import rounded_size
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

#: Time after which what was charged for a job that is not queued is looked into.
_LATE = timedelta(seconds=10)
#: Time after which the server that stored an upload is taken to be gone.
_UPLOADS_LAST = timedelta(hours=1)
_INTERRUPTED = "Interrupted"


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
    def charged(self, job: Mapping[str, Any]) -> Iterator[Document]:
        """Charge a job's owner for a run; it is given back if queueing it fails.

        Yields
        ------
        dict
            What the job's document has to carry from then on.

        Raises
        ------
        TooMany
            If a quota is used up; the message says which and what is left.
        """
        owner = job.get("_owner")
        if owner is None:
            yield {}
            return
        token = ObjectId()
        if not self._charge(owner, token, job):
            self.reconcile(owner)
            if not self._charge(owner, token, job):
                raise self._used_up(owner)
        try:
            yield {"_run.charge": token}
        except StoreUnavailable:  # it may be queued; the next look at the job tells
            raise
        except BaseException:
            self._settle(owner, token, given_back=True)
            raise

    def give_back(self, job: Mapping[str, Any], charge: Mapping[str, Any]) -> None:
        """Give back what was charged for a job that was not queued after all."""
        if charge:
            self._settle(job["_owner"], charge["_run.charge"], given_back=True)

    def settle(self, job: Mapping[str, Any], error: str | None) -> None:
        """Note that a job came to its end: what was interrupted is given back.

        It raises nothing: what cannot be noted now is found later.
        """
        owner, token = job.get("_owner"), job["_run"].get("charge")
        if owner is None or token is None:
            return
        try:
            self._settle(owner, token, given_back=error == _INTERRUPTED)
        except StoreUnavailable as unavailable:
            log.warning("the end of job %s is settled later: %s", job["_id"], unavailable)

    def reconcile(self, owner: ObjectId) -> None:
        """Compare what is open with the jobs, and settle what was left."""
        user = self._find(owner)
        if user is None or not user["open"]:
            return
        ids = {"_id": {"$in": [entry["job"] for entry in user["open"]]}}
        fields = ["state", "error", "_run.charge", "_run.change"]
        jobs = {job["_id"]: job for job in self._database.find("jobs", ids, projection=fields)}
        for entry in user["open"]:
            self._look_into(owner, entry["token"], jobs.get(entry["job"]))

    def _look_into(self, owner: ObjectId, token: ObjectId, job: Document | None) -> None:
        if job is not None and job["_run"].get("charge") == token:
            if job["state"] in TERMINAL:
                self._settle(owner, token, given_back=job.get("error") == _INTERRUPTED)
        elif datetime.now(UTC) - token.generation_time > _LATE and self._is_void(job):
            self._settle(owner, token, given_back=True)

    def _is_void(self, job: Document | None) -> bool:
        """See to it that a job is not queued any more with what was charged for it once.

        Whoever still tries to queue it asks for the mark of its last change, which is replaced.
        """
        if job is None or job["state"] != State.CREATED:
            return True
        seen = {"_id": job["_id"], "_run.change": job["_run"]["change"]}
        mark = {"$set": {"_run.change": ObjectId()}}
        return self._database.call(self._jobs.update_one, seen, mark).modified_count > 0

    def _charge(self, owner: ObjectId, token: ObjectId, job: Mapping[str, Any]) -> bool:
        """Charge a user for a job, if their quotas allow it."""
        user = self._find(owner)
        if user is None or user["job_limit"] < 1 or not user["active"]:
            return False
        guard: Document = {"_id": owner, "active": True, "open.token": {"$ne": token}}
        guard[f"open.{user['job_limit'] - 1}"] = {"$exists": False}
        if user["job_quota"] is not None:
            guard["charged"] = {"$lt": user["job_quota"]}
        entry = {"token": token, "job": job["_id"]}
        update = {"$push": {"open": entry}, "$inc": {"charged": 1}}
        if self._database.call(self._users.update_one, guard, update).modified_count:
            return True
        carried = {"_id": owner, "open.token": token}  # by a try whose answer was lost
        return self._database.call(self._users.find_one, carried, {"_id": 1}) is not None

    def _settle(self, owner: ObjectId, token: ObjectId, *, given_back: bool) -> None:
        update: Document = {"$pull": {"open": {"token": token}}}
        if given_back:
            update["$inc"] = {"charged": -1}
        guard = {"_id": owner, "open.token": token}
        self._database.call(self._users.update_one, guard, update)

    def _used_up(self, owner: ObjectId) -> TooMany:
        user = self._find(owner)
        if user is None or not user["active"]:
            return TooMany("The owner of the job may run none: their account is closed.")
        quota, limit = user["job_quota"], user["job_limit"]
        if quota is not None and user["charged"] >= quota:
            return TooMany(
                f"The job_quota of {quota} jobs in all is used up: 0 are left. "
                "An administrator can raise it."
            )
        return TooMany(
            f"The job_limit of {limit} jobs at once is reached: {len(user['open'])} are queued or "
            "running, 0 more may be. Wait for one to end, or cancel it.",
            retry_after=5,
        )

    def _find(self, owner: ObjectId) -> Document | None:
        return self._database.call(self._users.find_one, {"_id": owner})

    @contextmanager
    def room(
        self, owner: ObjectId | None, name: str, size: int, stored: Callable[[], dict[str, int]]
    ) -> Iterator[None]:
        """Take room for a data file while it is stored.

        Parameters
        ----------
        name, size
            Of the file.
        stored : callable
            Name and size of each data file that the user has.

        Raises
        ------
        TooMany
            If the storage quota leaves too little.
        """
        if owner is None:
            yield
            return
        entry = {"token": ObjectId(), "name": name, "size": size}
        while not self._take_room(owner, entry, stored):
            continue  # another upload was faster: look again
        try:
            yield
        finally:
            guard = {"_id": owner, "uploads.token": entry["token"]}
            update = {"$pull": {"uploads": {"token": entry["token"]}}}
            mark = {"$set": {"change": ObjectId()}}
            self._database.call(self._users.update_one, guard, update | mark)

    def _take_room(
        self, owner: ObjectId, entry: Document, stored: Callable[[], dict[str, int]]
    ) -> bool:
        user = self._find(owner) or {"uploads": [], "storage_quota": 0, "change": None}
        oldest = datetime.now(UTC) - _UPLOADS_LAST
        going_on = [one for one in user["uploads"] if one["token"].generation_time > oldest]
        if entry in going_on:
            return True  # a try whose answer was lost
        sizes = stored()
        for one in going_on:
            sizes[one["name"]] = max(one["size"], sizes.get(one["name"], 0))
        quota, used = user["storage_quota"], sum(sizes.values())
        if quota is not None and used + entry["size"] > quota:
            left = rounded_size(max(quota - used, 0))
            raise TooMany(
                f"The storage_quota of {rounded_size(quota)} leaves {left}, and the file has "
                f"{rounded_size(entry['size'])}. Delete files that you need no longer."
            )
        seen = {"_id": owner, "change": user["change"]}
        values = {"uploads": [*going_on, entry], "change": ObjectId()}
        done = self._database.call(self._users.update_one, seen, {"$set": values})
        return done.modified_count > 0
