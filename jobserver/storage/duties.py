"""What the processes of a database share: duties that one does for all, and single values."""

from __future__ import annotations

import time
from datetime import timedelta

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from jobserver.storage.database import Database, Document

COLLECTION = "meta"


def exchange(database: Database, name: str, value: str) -> str | None:
    """Keep a value for all servers of a database; return the one before, None if there was none."""
    update = {"$set": {"value": value}}
    found = database.call(
        database[COLLECTION].find_one_and_update, {"_id": name}, update, upsert=True
    )
    return found["value"] if found else None


class Duty:
    """Something that one process at a time does; if it is silent, another one takes over.

    Parameters
    ----------
    name : str
        What is done.
    seconds : float
        How long it stays with a process that does not say that it lives.
    """

    def __init__(self, database: Database, name: str, seconds: float) -> None:
        self._database = database
        self._duties = database[COLLECTION]
        self._name = f"duty {name}"
        self._seconds = seconds
        self._owner = ObjectId()
        self._due = 0.0

    def is_mine(self) -> bool:
        """Take or keep the duty; False if another process has it.

        The database is asked again after a third of the time.
        """
        if time.monotonic() < self._due:
            return True
        now, asked = self._database.now(), time.monotonic()
        free: Document = {"$or": [{"owner": self._owner}, {"until": {"$lt": now}}]}
        values = {"owner": self._owner, "until": now + timedelta(seconds=self._seconds)}
        try:
            self._database.call(
                self._duties.update_one, {"_id": self._name, **free}, {"$set": values}, upsert=True
            )
        except DuplicateKeyError:
            return False
        self._due = asked + self._seconds / 3
        return True

    def leave(self) -> None:
        """Leave the duty to another process."""
        self._due = 0.0
        self._database.forget(COLLECTION, {"_id": self._name, "owner": self._owner})
