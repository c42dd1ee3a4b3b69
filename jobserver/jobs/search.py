"""The choice of the index that a search for jobs uses.

Every list is read in the order of an index, so that the database never sorts in memory: its planner
would do so now and then, and fail if the jobs are large. So the index is chosen here.

A condition on a field's value yields its matches in order of creation, as each index continues with
``created`` and ``_id``. A range of values does not: its keys are read first, if they are few. All
other conditions are checked along the index of the list itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from pymongo.errors import ExecutionTimeout

from jobserver.storage.database import Database, Document
from jobserver.storage.indexes import BY_CREATION, BY_ID, Index, index_of

#: Most matches of a condition that are read by their keys, or counted to compare conditions.
FEW = 1000
_RANGES = ("$gt", "$gte", "$lt", "$lte", "$all")
_EVERY_JOB: Document = {"created": {"$gte": datetime.min}}
_COUNT_MILLISECONDS = 5000


@dataclass(frozen=True)
class IndexPath:
    """An index to find the matches of a query with.

    Attributes
    ----------
    index : tuple
        Fields of the index to use.
    in_order : bool
        Whether it yields the matches in order of creation.
    condition : dict
        The part of the query that narrows the search.
    """

    index: Index
    in_order: bool
    condition: Document


#: Reads every job.
WHOLE_LIST = IndexPath(BY_CREATION, True, {})


def paths(query: Mapping[str, object], fields: tuple[str, ...]) -> list[IndexPath]:
    """Return the paths to the matches of a query that need not read every job.

    Parameters
    ----------
    query : mapping
        A safe query; see `jobserver.storage.filters`.
    fields : tuple of str
        Fields that have an index, besides ``_id``.
    """
    conditions = list(_conditions(query))
    names = [name for name, _ in conditions]
    found = []
    for name, operand in conditions:
        narrowing = _narrowing(operand) if name == "_id" or name in fields else None
        if narrowing is not None and name == "_id":
            found.append(IndexPath(BY_ID, False, {name: narrowing}))
        elif narrowing is not None:
            # The planner might prefer another condition on the same field, and sort.
            in_order = _asks_for_value(operand) and names.count(name) == 1
            found.append(IndexPath(index_of(name), in_order, {name: narrowing}))
    return found


def _conditions(query: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield the fields and operands of conditions that must all hold."""
    for name, operand in query.items():
        if name == "$and" and isinstance(operand, list):
            for part in operand:
                yield from _conditions(part)
        elif not name.startswith("$"):
            yield name, operand


def _asks_for_value(operand: object) -> bool:
    return list(_operators(operand)) in (["$eq"], ["$in"])


def _narrowing(operand: object) -> Document | None:
    """Return the part of an operand that an index can use; None if there is none."""
    operators = _operators(operand)
    for name in ("$eq", "$in"):
        if name in operators:
            return {name: operators[name]} if operators[name] != [] else None
    return {name: operators[name] for name in _RANGES if operators.get(name, []) != []} or None


def _operators(operand: object) -> Document:
    """Return the operators of a condition; ``$eq`` for a plain value."""
    if isinstance(operand, dict) and any(name.startswith("$") for name in operand):
        return operand
    return {"$eq": operand}


class JobCount:
    """The number of all jobs, from the count that MongoDB keeps for a collection.

    A crash of MongoDB can leave that count wrong. So it is compared with the jobs themselves, once
    for each process of MongoDB. A count that is too small cannot be corrected: MongoDB never lets
    it fall below zero, so its error changes later.

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
        """Return the number of jobs; None if they cannot be counted in time."""
        estimate = self._estimate()
        process = self._process_id()
        with self._lock:
            if process is not None and process == self._process:
                return None if self._error is None else estimate - self._error
            counted = self._count()
            is_steady = self._estimate() == estimate  # no job was added or deleted meanwhile
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

    def _process_id(self) -> ObjectId | None:
        """Return the id of the one MongoDB process that answers; None if that is unknown."""
        servers = self._database.client.topology_description.server_descriptions().values()
        writable = [server for server in servers if server.is_writable]
        version = writable[0].topology_version if len(writable) == 1 else None
        return version["processId"] if version else None
