"""How a job changes: by one guarded update, known again by the mark that it leaves in the job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId


@dataclass(frozen=True)
class GuardedUpdate:
    """A guarded update of a job; it can be tried again, and is made once.

    Attributes
    ----------
    job_id : ObjectId or str
        Which job.
    query : dict
        What must hold.
    update : dict
        The update, which sets the mark too.
    mark : ObjectId
        The mark.
    """

    job_id: JobId
    query: Document
    update: Document
    mark: ObjectId

    @classmethod
    def build(
        cls, job_id: JobId, guard: Mapping[str, Any], *update: Mapping[str, Any]
    ) -> GuardedUpdate:
        """Change a job if it is still as a query says.

        Parameters
        ----------
        *update : mapping
            The fields to set, and perhaps further update operators by their name without ``$``.
        """
        return cls._guarded(job_id, {"_id": job_id, **guard}, *update)

    @classmethod
    def of_seen(cls, seen: Document, *update: Mapping[str, Any]) -> GuardedUpdate:
        """Change a job if nothing changed it since it was seen.

        No two changes leave the same mark, so it stands for all that there is to guard. The
        embedded server plans a query by one field in half the time of one by two.
        """
        return cls._guarded(seen["_id"], {"_run.change": seen["_run"]["change"]}, *update)

    @classmethod
    def _guarded(
        cls,
        job_id: JobId,
        query: Document,
        values: Mapping[str, Any],
        operators: Mapping[str, Any] | None = None,
    ) -> GuardedUpdate:
        mark = ObjectId()
        update = {f"${name}": value for name, value in (operators or {}).items()}
        # Fields that are new in a document come in this order, which MongoDB gives them by itself.
        update["$set"] = dict(sorted({**values, "_run.change": mark}.items()))
        return cls(job_id, query, update, mark)


class GuardedUpdates:
    """Makes changes of the jobs of one database: the one way any job ever changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = database["jobs"]

    def make(self, *changes: GuardedUpdate) -> list[bool]:
        """Make changes of different jobs, each for itself, in one request.

        Returns
        -------
        list of bool
            Whether each was made, by this try or one before it.
        """
        modified = self._modified(changes)
        self._database.wrote = time.monotonic()
        if modified == len(changes):
            return [True] * len(changes)
        return [self._carries(change) for change in changes]

    def _modified(self, changes: tuple[GuardedUpdate, ...]) -> int:
        """Send the updates, and give how many of them changed a job."""
        if len(changes) == 1:
            query, update = changes[0].query, changes[0].update
            return self._database.call(self._jobs.update_one, query, update).modified_count
        updates = [UpdateOne(change.query, change.update) for change in changes]
        return self._database.call(self._jobs.bulk_write, updates, ordered=False).modified_count

    def _carries(self, change: GuardedUpdate) -> bool:
        query = {"_id": change.job_id, "_run.change": change.mark}
        return self._database.call(self._jobs.find_one, query, {"_id": 1}) is not None
