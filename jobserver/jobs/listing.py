"""Lists of jobs in order of creation: streamed, in pages, counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from bson import ObjectId
from pymongo.errors import CursorNotFound, ExecutionTimeout, OperationFailure

from jobserver.errors import Unavailable
from jobserver.jobs.job import Job, find_jobs
from jobserver.jobs.search import FEW, WHOLE_LIST, IndexPath, JobCount, paths
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER, JobId
from jobserver.storage.indexes import BY_ID, Index

#: Jobs fetched at once: along an index, and by their ids.
_BATCH, _BATCH_OF_IDS = 1000, 10
#: Longest search for the next job: less than the driver waits for an answer.
_SEARCH_MILLISECONDS = 8000
_COUNT_MILLISECONDS = 1000
#: The database's error code for a hint to an index that does not exist.
_NO_SUCH_INDEX = 2
_TOO_SLOW = (
    f"No job was found within {_SEARCH_MILLISECONDS // 1000} seconds. Narrow the filter by "
    "'created', or add its fields to the setting SEARCH_FIELDS."
)
_LOST = "The database restarted and lost the list. Send the request again."
_FIRST_OBJECT_ID = ObjectId("0" * 24)

#: Where a page ended: time of creation and id of its last job.
Cursor = tuple[datetime, JobId]


@dataclass(frozen=True)
class Selection:
    """Which jobs, which of their fields, in which order.

    Attributes
    ----------
    query : dict
        A safe query; see `jobserver.storage.filters`.
    fields : tuple of str
        Fields to return; empty for all.
    newest_first : bool
        Whether the last created comes first.
    owner : ObjectId, optional
        Whose jobs; everybody's if None.
    """

    query: Mapping[str, object]
    fields: tuple[str, ...] = ()
    newest_first: bool = False
    owner: ObjectId | None = None

    def complete(self, *more: Document) -> Document:
        """Return the whole query: owner, filter and further conditions."""
        owned = {} if self.owner is None else {OWNER: self.owner}
        return all_of((owned, self.query, *more))


def all_of(conditions: Iterable[Mapping[str, object]]) -> Document:
    """Return the query that selects what meets all conditions; empty ones do not count."""
    found = [dict(condition) for condition in conditions if condition]
    return {"$and": found} if len(found) > 1 else dict(*found)


class Listing:
    """Reads lists of the jobs of a database.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    fields : tuple of str
        Fields of jobs that have an index, besides those of every list.
    """

    def __init__(self, database: Database, fields: tuple[str, ...] = (OWNER, "state")) -> None:
        self._database = database
        self._fields = fields
        self._jobs = database["jobs"]
        self._total = JobCount(database)

    def read(
        self, selection: Selection, after: Cursor | None = None, limit: int = 0
    ) -> Iterator[Job]:
        """Yield the selected jobs after a cursor, fetched while they are read.

        Parameters
        ----------
        limit : int
            How many will be read; 0 for all.

        Raises
        ------
        Unavailable
            If no job is found in time.
        """
        path = self._path(selection)
        if path.in_order:
            return self._in_order(selection, path.index, after, limit)
        return self._by_keys(selection, path.index, after)

    def page(
        self, selection: Selection, limit: int, after: Cursor | None
    ) -> tuple[list[Job], Cursor | None]:
        """Return up to ``limit`` jobs, and the cursor of the next page if there is one."""
        found = list(islice(self.read(selection, after, limit + 1), limit + 1))
        jobs = found[:limit]
        more = len(found) > limit
        return jobs, _cursor(jobs[-1]) if more else None

    def count(self, selection: Selection) -> int | None:
        """Return how many jobs are selected; None if they cannot be counted in time."""
        if not selection.complete():
            return self._total.read()
        index = self._path(selection).index
        try:
            return self._count(selection.complete(), index, maxTimeMS=_COUNT_MILLISECONDS)
        except ExecutionTimeout:
            return None

    def _path(self, selection: Selection) -> IndexPath:
        """Return the path that looks at the fewest jobs."""
        found = paths(selection.complete(), self._fields)
        if len(found) < 2 and all(path.in_order for path in found):
            return found[0] if found else WHOLE_LIST
        counts = [self._count(path.condition, path.index, limit=FEW + 1) for path in found]
        fewest, path = min(zip(counts, found, strict=True), key=lambda each: each[0])
        if fewest <= FEW:
            return path
        return next((path for path in found if path.in_order), WHOLE_LIST)

    def _in_order(
        self, selection: Selection, index: Index, after: Cursor | None, limit: int
    ) -> Iterator[Job]:
        """Read along an index; if the database loses its cursor, continue after the last job."""
        start, last = after, None
        direction = -1 if selection.newest_first else 1
        order = [("created", direction), ("_id", direction)]
        while True:
            following = {} if start is None else _following(start, selection.newest_first)
            query = selection.complete(following)
            try:
                for last in self._find(query, index, selection.fields, sort=order, limit=limit):
                    yield last
                return
            except Unavailable:
                if last is None:
                    raise
                start, last = _cursor(last), None

    def _by_keys(self, selection: Selection, index: Index, after: Cursor | None) -> Iterator[Job]:
        """Read the cursors of the few matches, then these jobs in order."""
        found_cursors = map(_cursor, self._find(selection.complete(), index, ("_id",)))
        cursors = sorted(found_cursors, key=_rank, reverse=selection.newest_first)
        if after is not None:
            cursors = [cursor for cursor in cursors if _comes_after(cursor, after, selection)]
        for start in range(0, len(cursors), _BATCH_OF_IDS):
            ids = [job_id for _, job_id in cursors[start : start + _BATCH_OF_IDS]]
            query = selection.complete({"_id": {"$in": ids}})
            found = {job.id: job for job in self._find(query, BY_ID, selection.fields)}
            yield from (found[job_id] for job_id in ids if job_id in found)

    def _find(
        self, query: Document, index: Index, fields: tuple[str, ...], **options: object
    ) -> Iterator[Job]:
        options |= {"batch_size": _BATCH, "max_time_ms": _SEARCH_MILLISECONDS}
        needed = [*fields, "created"] if fields else []
        try:
            yield from find_jobs(self._database, query, needed, hint=[*index], **options)
        except ExecutionTimeout as error:
            raise Unavailable(_TOO_SLOW, retry_after=60) from error
        except CursorNotFound as error:
            raise Unavailable(_LOST, retry_after=1) from error
        except OperationFailure as error:
            if error.code != _NO_SUCH_INDEX:
                raise
            yield from find_jobs(self._database, query, needed, **options)

    def _count(self, query: Document, index: Index, **options: object) -> int:
        run = self._jobs.database.command
        command = {"count": "jobs", "query": query, **options}
        try:
            reply: Document = self._database.call(run, {**command, "hint": dict(index)})
        except OperationFailure as error:
            if error.code != _NO_SUCH_INDEX:
                raise
            reply = self._database.call(run, command)
        return int(reply["n"])


def _cursor(job: Job) -> Cursor:
    return job.created, job.id


def _following(cursor: Cursor, newest_first: bool) -> Document:
    """Return the condition for the jobs after a cursor.

    A comparison finds only values of its own type, and strings sort before generated ids.
    """
    created, job_id = cursor
    later = "$lt" if newest_first else "$gt"
    alternatives: list[Document] = [{"created": {later: created}}, {"_id": {later: job_id}}]
    if newest_first and isinstance(job_id, ObjectId):
        alternatives.append({"_id": {"$gte": ""}})
    if not newest_first and isinstance(job_id, str):
        alternatives.append({"_id": {"$gte": _FIRST_OBJECT_ID}})
    return {"created": {f"{later}e": created}, "$or": alternatives}


def _comes_after(cursor: Cursor, other: Cursor, selection: Selection) -> bool:
    here, there = _rank(cursor), _rank(other)
    return here < there if selection.newest_first else here > there


def _rank(cursor: Cursor) -> tuple[datetime, bool, str]:
    """Return a sort key in the database's order: strings sort before generated ids."""
    created, job_id = cursor
    return created, isinstance(job_id, ObjectId), str(job_id)
