"""Rate limits, counted in the database for all servers together.

Time is divided into windows. Each window of each client, or user, and action is one document with a
count that a guarded update raises, so concurrent attempts never exceed the limit. If the reply to
an update is lost, the attempt may count twice. A refused attempt writes nothing.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from jobserver.errors import TooMany
from jobserver.storage.clock import timestamp, utcnow
from jobserver.storage.database import Database

_ONE_MORE = {"$inc": {"count": 1}}
_NONE = {"count": 0}


class RateLimiter:
    """Limits how often something may be attempted.

    Parameters
    ----------
    database : Database
        Holds the counts.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts = database["attempts"]

    def count(self, what: str, who: str, limit: int, seconds: float) -> str:
        """Count an attempt and return its id, for `give_back`.

        Parameters
        ----------
        what : str
            What is attempted, such as ``login``.
        who : str
            Who attempts it: an address or a user. Only a digest of it is stored.
        limit : int
            Attempts allowed in a window.
        seconds : float
            Length of a window.

        Raises
        ------
        TooMany
            If the limit is reached; ``retry_after`` is the time until the next window.
        StoreUnavailable
            If the database does not answer.
        """
        now = timestamp()
        window = math.floor(now / seconds)
        end = (window + 1) * seconds
        key = f"{_key(what, who)}:{seconds:g}:{window}"
        until = datetime.fromtimestamp(end, UTC).replace(tzinfo=None)
        if not self._try_count(key, limit, until):
            wait = max(1, math.ceil(end - now))
            raise TooMany(f"Too many attempts. Try again in {wait} s.", retry_after=wait)
        return key

    def give_back(self, attempt: str) -> None:
        """Stop counting an attempt, as it succeeded."""
        guard = {"_id": attempt, "count": {"$gt": 0}}
        self._database.call(self._attempts.update_one, guard, {"$inc": {"count": -1}})

    def remember(self, what: str, who: str, seconds: float) -> None:
        """Remember something about somebody, for `knows`; only a digest is stored."""
        until = utcnow() + timedelta(seconds=seconds)
        document = {"_id": _key(what, who), "until": until, "nonce": ObjectId()}
        self._database.insert("attempts", document)

    def knows(self, what: str, who: str) -> bool:
        """Whether that is remembered."""
        found = self._database.call(self._attempts.find_one, {"_id": _key(what, who)})
        return found is not None

    def _try_count(self, key: str, limit: int, until: datetime) -> bool:
        """Count one more in a window unless it is full, in one guarded update."""
        while True:
            guard = {"_id": key, "count": {"$lt": limit}}
            if self._database.call(self._attempts.update_one, guard, _ONE_MORE).modified_count:
                return True
            found = self._database.call(self._attempts.find_one, {"_id": key})
            if (found or _NONE)["count"] >= limit:
                return False
            first = {"_id": key, "count": 1, "until": until, "nonce": ObjectId()}
            if found is None and self._database.insert("attempts", first):
                return True


def _key(what: str, who: str) -> str:
    digest = hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{what}:{digest}"
