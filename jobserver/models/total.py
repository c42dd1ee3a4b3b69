"""How many jobs there are, without counting them for every page."""

from __future__ import annotations

import threading
from datetime import datetime

from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from jobserver.database import Database, Document
from jobserver.indexes import BY_CREATION

_EVERY_JOB: Document = {"created": {"$gte": datetime.min}}
_COUNT_MILLISECONDS = 5000


class Total:
    """The number of all jobs, from the count that MongoDB keeps of a collection.

    A crash of MongoDB can leave that count wrong. So it is compared with the jobs themselves, once
    for each process of MongoDB that answers. One that is too small is of no use: it never falls
    below zero, so it would be wrong by another number later.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = database["jobs"]
        self._lock = threading.Lock()
        self._process: ObjectId | None = None
        self._error: int | None = None

    def read(self) -> int | None:
        """The number of jobs; None if they are too many to be counted in time."""
        estimate = self._estimate()
        process = self._answering()
        with self._lock:
            if process is not None and process == self._process:
                return None if self._error is None else estimate - self._error
            counted = self._count()
            is_steady = self._estimate() == estimate  # nothing came or went meanwhile
            if is_steady and (counted is None or counted <= estimate):
                self._process = process
                self._error = None if counted is None else estimate - counted
            return counted

    def _estimate(self) -> int:
        return self._database.call(self._jobs.estimated_document_count)

    def _count(self) -> int | None:
        """Count the entries of an index."""
        options = {"hint": dict(BY_CREATION), "maxTimeMS": _COUNT_MILLISECONDS}
        run = self._jobs.database.command
        try:
            reply: Document = self._database.call(run, "count", "jobs", query=_EVERY_JOB, **options)
        except ExecutionTimeout:
            return None
        return int(reply["n"])

    def _answering(self) -> ObjectId | None:
        """Which process of MongoDB answers; None where several do, or it does not say."""
        servers = self._database.client.topology_description.server_descriptions().values()
        writable = [server for server in servers if server.is_writable]
        version = writable[0].topology_version if len(writable) == 1 else None
        return version["processId"] if version else None
