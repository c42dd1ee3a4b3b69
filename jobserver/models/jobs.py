"""The stored jobs: create, read, edit, list, delete."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import Any

from bson import ObjectId

from jobserver.database import Database, Document
from jobserver.errors import BadRequest, Conflict, NotFound
from jobserver.models import logs
from jobserver.models.job import (
    ACTIVE,
    FLAGS,
    OWNER,
    JobId,
    State,
    check_fields,
    check_flags,
    new_document,
    utcnow,
)
from jobserver.models.listing import Selection
from jobserver.models.quota import Quotas
from jobserver.models.results import Results
from jobserver.models.shelves import Shelves

_BATCH = 200
_DELETABLE = [state.value for state in State if state not in ACTIVE]
#: Fields of a job without which it cannot be deleted.
NEEDED_TO_DELETE = ("state", "created", OWNER, "_run.key", "_run.file.key", "_run.charge")
_ANYBODYS: Mapping[str, Any] = {}


class Jobs:
    """The jobs of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.shelves = Shelves(database)
        self.listing = self.shelves.of(None).listing
        self.quotas = Quotas(database)
        self.results = Results(database)
        self._jobs = database["jobs"]

    def create(
        self,
        fields: Mapping[str, Any],
        job_id: JobId | None = None,
        owner: ObjectId | None = None,
    ) -> Document:
        """Store a new job.

        Parameters
        ----------
        owner : ObjectId, optional
            Whose job it is; nobody's without one.

        Raises
        ------
        BadRequest
            If a field is the server's.
        Conflict
            If the id is taken.
        """
        check_flags(fields)
        document = new_document(fields, job_id, owner)
        if not self.database.insert("jobs", document):
            raise Conflict(f"There is a job {job_id} already. Choose another id, or PUT /job.")
        for shelf in self.shelves.having(owner):
            shelf.tally.add(1)
            shelf.calendar.note(document["created"])
        return document

    def get(self, job_id: JobId, reach: Mapping[str, Any] = _ANYBODYS) -> Document:
        """A job's document; `NotFound` if there is none within reach.

        Parameters
        ----------
        reach : mapping
            What holds for the jobs that may be seen; see `jobserver.auth.reach`.
        """
        document = self.database.call(self._jobs.find_one, {"_id": job_id, **reach})
        if document is None:
            raise NotFound(no_job(job_id))
        return document

    def edit(
        self, job_id: JobId, fields: Mapping[str, Any], reach: Mapping[str, Any] = _ANYBODYS
    ) -> Document:
        """Merge fields into a job that was not started yet; flags alone into any job.

        Raises
        ------
        BadRequest
            If there are no fields, or one is the server's.
        NotFound, Conflict
            If there is no such job, or it was started.
        """
        if not fields:
            raise BadRequest("Send the fields to change as a JSON object.")
        check_fields(fields)
        check_flags(fields)
        guard = {} if fields.keys() <= set(FLAGS) else {"state": State.CREATED}
        changed = self.change(job_id, {**guard, **reach}, {**fields, "edited": utcnow()})
        document = self.get(job_id, reach)
        if not changed:
            raise Conflict(
                f"The job {job_id} is {document['state']}; only a job that was not started can be "
                "changed, apart from 'pinned' and 'public' alone. Make a new one."
            )
        return document

    def change(
        self,
        job_id: JobId,
        guard: Mapping[str, Any],
        values: Mapping[str, Any],
        **operators: Mapping[str, Any],
    ) -> bool:
        """Change a job if it is still as the guard says: the one way any job ever changes.

        Parameters
        ----------
        guard : mapping
            Fields and values that must hold, as a query.
        values : mapping
            Fields to set.
        **operators : mapping
            Further update operators by their name without the ``$``.

        Returns
        -------
        bool
            Whether this call changed it. A repeated try recognises its own mark.
        """
        mark = ObjectId()
        update = {f"${name}": value for name, value in operators.items()}
        update["$set"] = {**values, "_run.change": mark}
        query = {"_id": job_id, **guard}
        done = self.database.call(self._jobs.update_one, query, update)
        return bool(done.modified_count) or self._carries(job_id, mark)

    def _carries(self, job_id: JobId, mark: ObjectId) -> bool:
        query = {"_id": job_id, "_run.change": mark}
        return self.database.call(self._jobs.find_one, query, {"_id": 1}) is not None

    def delete(self, job_id: JobId, reach: Mapping[str, Any] = _ANYBODYS) -> None:
        """Delete a job and all that was stored for it.

        Raises
        ------
        NotFound, Conflict
            If there is no such job, or it is queued or running.
        """
        if not self.delete_seen([self.get(job_id, reach)]):
            state = self.get(job_id, reach)["state"]  # not found, if somebody else was faster
            raise Conflict(f"The job {job_id} is {state}. Cancel it, or wait for its end.")

    def delete_all(self, owner: ObjectId | None = None) -> tuple[int, int]:
        """Delete all jobs, or all of one owner, but those queued or running.

        Returns
        -------
        deleted, total : int
            How many were deleted, of how many there were.
        """
        deleted = total = 0
        found = self.shelves.of(owner).listing.read(Selection({}, NEEDED_TO_DELETE))
        while batch := list(islice(found, _BATCH)):
            total += len(batch)
            deleted += self.delete_seen(batch)
        return deleted, total

    def delete_seen(self, documents: list[Document]) -> int:
        """Delete those of some jobs that may be, and what was stored for them.

        Parameters
        ----------
        documents : list of dict
            The jobs with at least `NEEDED_TO_DELETE`. One whose state changed since stays.

        Returns
        -------
        int
            How many were deleted.
        """
        self._settle(documents)
        with self.results.settled(documents):
            deleted = self._delete(documents)
            ids = {"_id": {"$in": [document["_id"] for document in documents]}}
            left = {found["_id"] for found in self.database.find("jobs", ids, projection=["_id"])}
            gone = [document for document in documents if document["_id"] not in left]
            self._mark_deleted(gone)
            logs.delete(self.database, [document["_run"]["key"] for document in gone])
        return deleted

    def _settle(self, documents: list[Document]) -> None:
        """Settle what is open of these runs: once they are gone nobody knows how they ended."""
        for owner in {each[OWNER] for each in documents if "charge" in each["_run"]}:
            self.quotas.reconcile(owner)

    def _delete(self, documents: list[Document]) -> int:
        """Delete those that are as they were seen, and whose they were; how many there were."""
        alike = defaultdict(list)
        for document in documents:
            if document["state"] in _DELETABLE:
                alike[document["state"], document.get(OWNER)].append(document["_id"])
        total = 0
        for (state, owner), ids in alike.items():
            query = {"_id": {"$in": ids}, "state": state, OWNER: owner}
            deleted = self.database.call(self._jobs.delete_many, query).deleted_count
            for shelf in self.shelves.having(owner):
                shelf.tally.add(-deleted)
            total += deleted
        return total

    def count(self, query: Mapping[str, Any], owner: ObjectId | None = None) -> int:
        """How many jobs match, all or one owner's; they are not counted anew each time."""
        shelf = self.shelves.of(owner)
        return shelf.listing.count(query) if query else shelf.tally.total()

    def _mark_deleted(self, gone: list[Document]) -> None:
        """Leave a mark of what went, for lists that other servers keep; it is cleaned up later."""
        created = [document["created"] for document in gone]
        mark = {"_id": ObjectId(), "created": created, "at": utcnow()}
        self.database.insert("deleted", mark)


def no_job(job_id: JobId) -> str:
    """What is said of a job that is not there."""
    return f"There is no job {job_id}."
