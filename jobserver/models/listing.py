"""Lists of jobs: in the order of their creation, window by window, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId

from jobserver.database import Database, Document
from jobserver.models.calendar import Calendar, Window
from jobserver.models.job import JobId

_LAST_MARK = ObjectId("f" * 24)

#: Where a page ended: time of creation and id of its last job.
Place = tuple[datetime, JobId]


@dataclass(frozen=True)
class Selection:
    """Which jobs, which of their fields, in which order.

    Attributes
    ----------
    query : dict
        A safe query; see `jobserver.filters`.
    fields : tuple of str
        Fields to give; empty for all.
    newest_first : bool
        Whether the last created comes first.
    """

    query: Mapping[str, Any]
    fields: tuple[str, ...] = ()
    newest_first: bool = False


class Listing:
    """Reads lists of the jobs of a database.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    calendar : Calendar
        How to cut them into windows.
    owner : ObjectId, optional
        Whose jobs; all without one.
    """

    def __init__(
        self, database: Database, calendar: Calendar, owner: ObjectId | None = None
    ) -> None:
        self._database = database
        self._calendar = calendar
        self._owned: Document = {} if owner is None else {"_owner": owner}

    def read(self, selection: Selection, after: Place | None = None) -> Iterator[Document]:
        """All selected jobs after a place, fetched while they are read."""
        start = after[0] if after else None
        for window in self._calendar.windows(start, selection.newest_first):
            inside = start is not None and window[0] < start < window[1]
            for job in self._window(selection, window, start if inside else None):
                if after is None or _comes_after(job, after, selection.newest_first):
                    yield job

    def page(
        self, selection: Selection, limit: int, after: Place | None
    ) -> tuple[list[Document], Place | None]:
        """Up to ``limit`` jobs, and the place to go on from if there are more."""
        found = list(islice(self.read(selection, after), limit + 1))
        jobs = found[:limit]
        more = len(found) > limit
        return jobs, (jobs[-1]["created"], jobs[-1]["_id"]) if more else None

    def count(self, query: Mapping[str, Any]) -> int:
        """How many jobs match."""
        selected = _narrowed(self._owned, query)
        return self._database.call(self._database["jobs"].count_documents, selected)

    def windows(self) -> Iterator[Window]:
        """The windows that cover all jobs, oldest first."""
        return self._calendar.windows(None, False)

    def window(self, window: Window) -> Iterator[Document]:
        """All jobs of a window, oldest first, fetched while they are read."""
        return self._window(Selection({}), window, None)

    def changed(self, since: datetime) -> list[datetime]:
        """Times of creation of the jobs that came, changed or went since a time."""
        marks = {"$gte": ObjectId.from_datetime(since), "$lt": _LAST_MARK}
        fields = ["created"]
        changed = self._database.find("jobs", {"_run.change": marks}, projection=fields)
        gone = self._database.find("deleted", {"_id": marks})
        return [job["created"] for job in changed] + [
            created for entry in gone for created in entry["created"]
        ]

    def _window(
        self, selection: Selection, window: Window, start: datetime | None
    ) -> Iterator[Document]:
        """The selected jobs of a window, or of its part from ``start`` on in reading direction."""
        bounds = {"$gte": window[0], "$lt": window[1]}
        if start:
            bounds["$lte" if selection.newest_first else "$gte"] = start
        query = _narrowed({**self._owned, "created": bounds}, selection.query)
        direction = -1 if selection.newest_first else 1
        order = [("created", direction), ("_id", direction)]
        fields = [*selection.fields, "created"] if selection.fields else None
        times = []
        for job in self._database.find("jobs", query, projection=fields, sort=order):
            times.append(job["created"])
            yield job
        if not selection.query and not start:
            self._calendar.mend(window, sorted(times))


def _narrowed(bounds: Document, query: Mapping[str, Any]) -> Document:
    """Both conditions in one query.

    The embedded server reads the whole collection where there is an ``$and``, so plain fields are
    put beside the bounds.
    """
    if not query:
        return bounds
    if any(name.startswith("$") for name in query) or bounds.keys() & query.keys():
        return {**bounds, "$and": [query]}
    return {**bounds, **query}


def _comes_after(job: Document, place: Place, newest_first: bool) -> bool:
    here, there = _order(job["created"], job["_id"]), _order(*place)
    return here < there if newest_first else here > there


def _order(created: datetime, job_id: JobId) -> tuple[datetime, bool, Any]:
    """A job's rank as the database sorts: texts come before generated ids."""
    return created, isinstance(job_id, ObjectId), job_id
