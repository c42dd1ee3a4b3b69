"""The stored jobs: create, read, edit, list, delete."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from bson import ObjectId

from jobserver.database import Database, Document
from jobserver.errors import BadRequest, Conflict, NotFound
from jobserver.models import logs
from jobserver.models.calendar import Calendar
from jobserver.models.job import (
    ACTIVE,
    JobId,
    State,
    check_fields,
    check_pinned,
    inherited,
    new_document,
    utcnow,
)
from jobserver.models.listing import Listing, Selection
from jobserver.models.notices import Notices
from jobserver.models.results import Results
from jobserver.models.tally import Tally

_BATCH = 200
_DELETABLE = [state.value for state in State if state not in ACTIVE]
#: Fields of a job without which it cannot be deleted.
NEEDED_TO_DELETE = ("state", "created", "_run.key", "_run.file.key", "_run.mail")


class Jobs:
    """The jobs of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.calendar = Calendar(database)
        self.tally = Tally(database)
        self.listing = Listing(database, self.calendar)
        self.results = Results(database)
        self.notices = Notices(database)
        self._jobs = database["jobs"]

    def create(self, fields: Mapping[str, Any], job_id: JobId | None = None) -> Document:
        """Store a new job.

        Raises
        ------
        BadRequest
            If a field is the server's.
        Conflict
            If the id is taken.
        """
        check_pinned(fields)
        return self._insert(new_document(fields, job_id))

    def create_again(self, job_id: JobId, fields: Mapping[str, Any]) -> Document:
        """Store a new job with the client's fields of an old one.

        Parameters
        ----------
        fields : mapping
            Fields that replace the old ones.

        Raises
        ------
        BadRequest
            If a field is the server's.
        NotFound
            If there is no old job.
        """
        check_fields(fields)
        again = {**inherited(self.get(job_id), fields), **fields}
        check_pinned(again)
        return self._insert({**new_document(again), "rerun_of": str(job_id)})

    def _insert(self, document: Document) -> Document:
        self.database.check_room()
        if not self.database.insert("jobs", document):
            job_id = document["_id"]
            raise Conflict(f"There is a job {job_id} already. Choose another id, or PUT /job.")
        self.tally.add(1)
        self.calendar.note(document["created"])
        return document

    def get(self, job_id: JobId) -> Document:
        """A job's document; `NotFound` if there is none."""
        document = self.database.call(self._jobs.find_one, {"_id": job_id})
        if document is None:
            raise NotFound(f"There is no job {job_id}.")
        return document

    def edit(self, job_id: JobId, fields: Mapping[str, Any]) -> Document:
        """Merge fields into a job that was not started yet; ``pinned`` alone into any job.

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
        check_pinned(fields)
        guard = {} if fields.keys() == {"pinned"} else {"state": State.CREATED}
        self.database.check_room()
        changed = self.change(job_id, guard, {**fields, "edited": utcnow()})
        document = self.get(job_id)
        if not changed:
            raise Conflict(
                f"The job {job_id} is {document['state']}; only a job that was not started can be "
                "changed, apart from 'pinned' alone. Make a new one."
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

    def delete(self, job_id: JobId) -> None:
        """Delete a job and all that was stored for it.

        Raises
        ------
        NotFound, Conflict
            If there is no such job, or it is queued or running.
        """
        if not self.delete_seen([self.get(job_id)]):
            state = self.get(job_id)["state"]  # not found, if somebody else was faster
            raise Conflict(f"The job {job_id} is {state}. Cancel it, or wait for its end.")

    def delete_all(self) -> tuple[int, int]:
        """Delete all jobs but those queued or running.

        Returns
        -------
        deleted, total : int
            How many were deleted, of how many there were.
        """
        deleted = total = 0
        found = self.listing.read(Selection({}, NEEDED_TO_DELETE))
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
        self.notices.post_of([job["_id"] for job in documents if "mail" in job["_run"]])
        with self.results.settled(documents):
            deleted = sum(self._delete_in(state, documents) for state in _DELETABLE)
            self.tally.add(-deleted)
            ids = {"_id": {"$in": [document["_id"] for document in documents]}}
            left = {found["_id"] for found in self.database.find("jobs", ids, projection=["_id"])}
            gone = [document for document in documents if document["_id"] not in left]
            self._mark_deleted(gone)
            logs.delete(self.database, [document["_run"]["key"] for document in gone])
        return deleted

    def _delete_in(self, state: str, documents: list[Document]) -> int:
        ids = [document["_id"] for document in documents if document["state"] == state]
        query = {"_id": {"$in": ids}, "state": state}
        return self.database.call(self._jobs.delete_many, query).deleted_count if ids else 0

    def count(self, query: Mapping[str, Any]) -> int:
        """How many jobs match; all of them are not counted anew each time."""
        return self.listing.count(query) if query else self.tally.total()

    def _mark_deleted(self, gone: list[Document]) -> None:
        """Leave a mark of what went, for lists that other servers keep; it is cleaned up later."""
        created = [document["created"] for document in gone]
        mark = {"_id": ObjectId(), "created": created, "at": utcnow()}
        self.database.insert("deleted", mark)
