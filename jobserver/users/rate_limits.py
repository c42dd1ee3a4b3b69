"""How often somebody tried something lately, counted in the database for all servers together.

Time is cut into windows, and a window of somebody who tries something is one document with a count,
which is raised by a guarded update: exactly so many succeed as may, whoever else tries at the same
time. Where the answer to an update was lost it may be counted twice. A refused attempt writes
nothing.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

from bson import ObjectId

from jobserver.errors import TooMany
from jobserver.storage.database import Database

_ONE_MORE = {"$inc": {"count": 1}}
_NONE = {"count": 0}


class RateLimiter:
    """Limits on how often something may be tried.

    Parameters
    ----------
    database : Database
        Where they are counted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = database["attempts"]

    def check(self, what: str, who: str, limit: int, seconds: float) -> str:
        """Count an attempt; its id, for `give_back`.

        Parameters
        ----------
        what : str
            What is tried, such as ``login``.
        who : str
            Who tries: an address, a user. It is not kept, only a digest of it.
        limit : int
            How many attempts a window has room for.
        seconds : float
            Length of a window.

        Raises
        ------
        TooMany
            If this window is full; ``retry_after`` tells when the next begins.
        StoreUnavailable
            If the database is away.
        """
        now = datetime.now(UTC).timestamp()
        window = math.floor(now / seconds)
        end = (window + 1) * seconds
        digest = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        key = f"{what}:{digest}:{seconds:g}:{window}"
        until = datetime.fromtimestamp(end, UTC).replace(tzinfo=None)
        if not self._counted(key, limit, until):
            wait = max(1, math.ceil(end - now))
            raise TooMany(f"Too many attempts. Try again in {wait} s.", retry_after=wait)
        return key

    def give_back(self, attempt: str) -> None:
        """Count an attempt no longer, as it was a good one."""
        guard = {"_id": attempt, "count": {"$gt": 0}}
        self._database.call(self._attempts.update_one, guard, {"$inc": {"count": -1}})

    def _counted(self, key: str, limit: int, until: datetime) -> bool:
        """Count one more in a window, unless it is full; as one update, as others try too."""
        while True:
            guard = {"_id": key, "count": {"$lt": limit}}
            if self._database.call(self._attempts.update_one, guard, _ONE_MORE).modified_count:
                return True
            found = self._database.call(self._attempts.find_one, {"_id": key})
            if (found or _NONE)["count"] >= limit:
                return False
            first = {"_id": key, "count": 1, "until": until, "mark": ObjectId()}
            if found is None and self._database.insert("attempts", first):
                return True
