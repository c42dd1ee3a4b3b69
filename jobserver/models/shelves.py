"""What makes lists of jobs fast, for all jobs and for each user's own."""

from __future__ import annotations

import threading
from collections import OrderedDict

from bson import ObjectId

from jobserver.database import Database
from jobserver.models.calendar import Calendar
from jobserver.models.listing import Listing
from jobserver.models.tally import Tally

#: Users whose shelves are kept; those of others are made again when they come.
_MOST = 1000


class Shelf:
    """The jobs of one user, or all.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    owner : ObjectId or None
        Whose jobs; None for all.
    """

    def __init__(self, database: Database, owner: ObjectId | None) -> None:
        self.owner = owner
        self.calendar = Calendar(database, owner)
        self.tally = Tally(database, owner)
        self.listing = Listing(database, self.calendar, owner)


class Shelves:
    """The shelves of one database.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._all = Shelf(database, None)
        self._kept: OrderedDict[ObjectId, Shelf] = OrderedDict()

    def of(self, owner: ObjectId | None) -> Shelf:
        """The shelf of a user's jobs; with None that of all jobs, whoever's they are."""
        if owner is None:
            return self._all
        with self._lock:
            if owner not in self._kept:
                self._kept[owner] = Shelf(self._database, owner)
            self._kept.move_to_end(owner)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
            return self._kept[owner]

    def having(self, owner: ObjectId | None) -> list[Shelf]:
        """All shelves that a job of this owner stands on."""
        return [self._all] if owner is None else [self._all, self.of(owner)]
