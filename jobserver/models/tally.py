"""How many jobs there are, without counting them for every request."""

from __future__ import annotations

import threading
import time

from bson import ObjectId

from jobserver.database import Database, Document
from jobserver.errors import StoreUnavailable

REFRESH_SECONDS = 60.0


class Tally:
    """The number of jobs: counted once, kept up by what this server does, checked now and then.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    owner : ObjectId, optional
        Of whose jobs; of all without one.
    """

    def __init__(self, database: Database, owner: ObjectId | None = None) -> None:
        self._database = database
        self._query: Document = {} if owner is None else {"_owner": owner}
        self._lock = threading.Lock()
        self._total: int | None = None
        self._changed = 0
        self._counted = 0.0
        self._counting = threading.Lock()

    def add(self, number: int) -> None:
        """So many jobs came, or went if it is negative."""
        with self._lock:
            self._changed += number

    def total(self) -> int:
        """The number of jobs; other servers' changes are seen within `REFRESH_SECONDS`."""
        if self._total is None:
            self._count()
        elif time.monotonic() - self._counted > REFRESH_SECONDS and self._counting.acquire(False):
            threading.Thread(target=self._recount, name="tally", daemon=True).start()
        with self._lock:
            return max(0, (self._total or 0) + self._changed)

    def _recount(self) -> None:
        try:
            self._count()
        except StoreUnavailable:
            self._counted = time.monotonic()  # it is asked for again later
        finally:
            self._counting.release()

    def _count(self) -> None:
        """Count; what comes and goes meanwhile is at most counted twice, until the next time."""
        with self._lock:
            before = self._changed
        total = self._database.call(self._database["jobs"].count_documents, self._query)
        with self._lock:
            self._total, self._changed = total, self._changed - before
            self._counted = time.monotonic()
