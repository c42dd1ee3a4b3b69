"""A user who leaves: everything that is theirs goes with them."""

from __future__ import annotations

from bson import ObjectId

from jobserver.database import Document
from jobserver.errors import Conflict
from jobserver.models.data import StoredData
from jobserver.models.datafile import DataFiles
from jobserver.models.job import ACTIVE
from jobserver.models.jobs import Jobs
from jobserver.models.user import Users


def remove_user(
    user: Document, users: Users, jobs: Jobs, data: StoredData, datafiles: DataFiles
) -> None:
    """Delete a user with all their jobs, data, data files and tokens.

    It can be done again where it was cut off: the user themselves goes last.

    Raises
    ------
    Conflict
        If jobs of theirs are queued or running.
    """
    owner: ObjectId = user["_id"]
    users.revoke(owner, active=False)  # from here on nothing new comes
    if _has_active(jobs, owner):
        users.revoke(owner, active=user["active"])
        raise Conflict("Jobs of this user are queued or running. Cancel them, or wait.")
    jobs.delete_all(owner)
    mine = data.of(owner)
    for stored in list(mine.list()):
        mine.delete(stored["_id"])
    datafiles.of_owner(owner).delete_all()
    users.remove(owner)


def _has_active(jobs: Jobs, owner: ObjectId) -> bool:
    """Whether jobs of a user are queued or running, or about to be."""
    jobs.quotas.reconcile(owner)
    states = [{"_owner": owner, "state": state.value} for state in ACTIVE]
    found = (jobs.database.find("jobs", query, projection=["_id"]) for query in states)
    user = jobs.database.call(jobs.database["users"].find_one, {"_id": owner}, {"open": 1})
    return any(list(each) for each in found) or bool(user and user["open"])
