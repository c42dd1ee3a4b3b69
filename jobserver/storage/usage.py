"""How many bytes each user has stored: files, data, jobs, results and logs.

A user's document holds the sum, ``stored``. Whatever stores something charges the user first, in
one update that requires that the quota allows it, and gives the charge back if nothing was stored.
What is deleted is released afterwards. A server killed between the two leaves the sum too high,
never too low; `StorageUsage.recount` puts that right.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from bson import ObjectId

from jobserver.errors import StoreUnavailable, TooMany
from jobserver.sizes import rounded_size
from jobserver.storage.clock import age, new_id
from jobserver.storage.database import Database, Document

T = TypeVar("T")
#: Time without changes after which no charge can be waiting for what it was made for.
_QUIET = timedelta(minutes=5)


class StorageUsage:
    """The sums of one database.

    Parameters
    ----------
    database : Database
        Holds the users.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = database["users"]

    def charge(self, owner: ObjectId | None, size: int, store: Callable[[], T]) -> T:
        """Store something for a user, within their quota.

        Parameters
        ----------
        owner : ObjectId or None
            The user; with None nothing is counted.
        size : int
            Bytes that it adds; negative if it replaces something larger.
        store : callable
            Stores it, and returns something true if it did.

        Raises
        ------
        TooMany
            If the storage quota leaves too little.
        """
        if owner is None:
            return store()
        if size > 0 and not self._add(owner, size, within_quota=True):
            raise self._used_up(owner, size)
        try:
            stored = store()
        except StoreUnavailable:  # it may be stored
            raise
        except BaseException:
            self.release(owner, max(size, 0))
            raise
        self.release(owner, max(-size, 0) if stored else max(size, 0))
        return stored

    def release(self, owner: ObjectId | None, size: int) -> None:
        """Note that a user has so many bytes less."""
        if owner is not None and size:
            self._add(owner, -size)

    def left(self, owner: ObjectId | None, most: int) -> int:
        """Return how many bytes a user may add, up to a number."""
        user = self._find(owner) if owner else None
        if user is None or user["storage_quota"] is None:
            return most
        left: int = user["storage_quota"] - user.get("stored", 0)
        return max(min(most, left), 0)

    def recount(self, owner: ObjectId, count: Callable[[], int]) -> None:
        """Replace the sum by what is counted, unless it changed a moment ago or does meanwhile."""
        user = self._find(owner)
        if user is None:
            return
        seen = user.get("stored_change")
        if seen and age(seen) < _QUIET:
            return
        guard = {"_id": owner, "stored_change": seen}
        update = {"$set": {"stored": count(), "stored_change": new_id()}}
        self._database.call(self._users.update_one, guard, update)

    def _add(self, owner: ObjectId, size: int, *, within_quota: bool = False) -> bool:
        """Change a user's sum, in one update; return whether the quota allowed it."""
        change = new_id()
        guard: Document = {"_id": owner, "stored_change": {"$ne": change}}
        if within_quota and (user := self._find(owner)) and user["storage_quota"] is not None:
            guard["stored"] = {"$not": {"$gt": user["storage_quota"] - size}}
        update = {"$inc": {"stored": size}, "$set": {"stored_change": change}}
        if self._database.call(self._users.update_one, guard, update).modified_count:
            return True
        made = {"_id": owner, "stored_change": change}  # by a try whose answer was lost
        return self._database.call(self._users.find_one, made, {"_id": 1}) is not None

    def _used_up(self, owner: ObjectId, size: int) -> TooMany:
        user = self._find(owner)
        if user is None:
            return TooMany("Nothing can be stored for this user: their account is closed.")
        left = rounded_size(max(user["storage_quota"] - user.get("stored", 0), 0))
        return TooMany(
            f"The storage_quota of {rounded_size(user['storage_quota'])} for files, data, jobs, "
            f"results and logs leaves {left}, and this needs {rounded_size(size)}. Delete what you "
            "no longer need."
        )

    def _find(self, owner: ObjectId) -> Document | None:
        return self._database.call(self._users.find_one, {"_id": owner})
