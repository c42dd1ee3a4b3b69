"""How often somebody tried something lately, counted in the database for all servers together.

Time is cut into windows. Each attempt takes a numbered place in the window it falls into: a
document with an id of its own, so that exactly so many succeed as there are places, whoever else
tries at the same time, and a write that is repeated finds itself. A refused attempt writes nothing.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

from bson import ObjectId

from jobserver.database import Database
from jobserver.errors import TooMany


class Attempts:
    """Limits on how often something may be tried.

    Parameters
    ----------
    database : Database
        Where they are counted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

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
        prefix = f"{what}:{digest}:{seconds:g}:{window}:"
        place = self._taken(prefix)
        while place < limit:
            until = datetime.fromtimestamp(end, UTC).replace(tzinfo=None)
            mark = {"_id": f"{prefix}{place:06}", "until": until, "mark": ObjectId()}
            if self._database.insert("attempts", mark):
                return str(mark["_id"])
            place += 1  # somebody took it at the same time
        wait = max(1, math.ceil(end - now))
        raise TooMany(f"Too many attempts. Try again in {wait} s.", retry_after=wait)

    def give_back(self, attempt: str) -> None:
        """Count an attempt no longer, as it was a good one."""
        self._database.call(self._database["attempts"].delete_one, {"_id": attempt})

    def _taken(self, prefix: str) -> int:
        """How many places of a window are taken."""
        window = {"_id": {"$gte": prefix, "$lt": f"{prefix};"}}
        order = [("_id", -1)]
        last = next(self._database.find("attempts", window, sort=order, limit=1), None)
        return 0 if last is None else int(last["_id"].removeprefix(prefix)) + 1
