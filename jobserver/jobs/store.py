"""The stored jobs: create, read, edit, list, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice

from bson import ObjectId

from jobserver.encoding import dumps, encoded_size
from jobserver.errors import Advised, BadRequest, Conflict, NotFound
from jobserver.jobs.deletion import NEEDED_TO_DELETE, JobDeleter
from jobserver.jobs.job import FLAGS, PRIVATE, Job, State, find_jobs, private
from jobserver.jobs.listing import Listing, Selection
from jobserver.jobs.notifications import Notifications
from jobserver.jobs.quotas import Quotas
from jobserver.jobs.results import Results
from jobserver.jobs.updates import GuardedUpdate, GuardedUpdates
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId, owned_by
from jobserver.storage.usage import StorageUsage

_BATCH = 200
_ANYBODYS: Mapping[str, object] = {}
Merge = Callable[[Job, Mapping[str, object]], Document]


def _anything(_: Job) -> None:
    """Accept any job."""


def _none_kept(_: Job) -> Document:
    """Return no options."""
    return {}


def _replaced(_: Job, fields: Mapping[str, object]) -> Document:
    """Return fields that replace those of a job."""
    return dict(fields)


class Jobs:
    """The jobs of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.listing = Listing(database)
        self.quotas = Quotas(database)
        self.usage = StorageUsage(database)
        self.results = Results(database)
        self.notifications = Notifications(database)
        self.deleter = JobDeleter(database, self.quotas, self.results, self.notifications)
        self.updates = GuardedUpdates(database)
        self._jobs = database["jobs"]

    def create(
        self,
        fields: Mapping[str, object],
        job_id: JobId | None = None,
        owner: ObjectId | None = None,
    ) -> Job:
        """Store a new job.

        Parameters
        ----------
        owner : ObjectId, optional
            Whose job it is; nobody's without one.

        Raises
        ------
        BadRequest
            If only the server sets one of the fields.
        Conflict
            If the id is taken.
        """
        return self._insert(Job.new(fields, job_id, owner))

    def create_once(
        self, key: str, fields: Mapping[str, object], owner: ObjectId | None = None
    ) -> Job:
        """Store a new job, or return the one that the same request stored before.

        Parameters
        ----------
        key : str
            Identifies the request among those of its owner; the job's id is derived from it.

        Raises
        ------
        Conflict
            If the key was sent with other fields.
        """
        digest = hashlib.sha256(f"{owner}\0{key}".encode()).digest()
        job_id = ObjectId(digest[: len(ObjectId().binary)])
        sent = hashlib.sha256(dumps(fields)).digest()
        new = Job.new(fields, job_id, owner).updated(private(sent=sent))
        if old := self._created_before(new):
            return old
        try:
            return self._insert(new)
        except Conflict:  # the same request came twice at the same time
            if old := self._created_before(new):
                return old
            raise

    def _created_before(self, new: Job) -> Job | None:
        """Return the job that the same request stored; `Conflict` if its fields are others."""
        with suppress(NotFound):
            old = self.get(new.id, owned_by(new.owner))
            if old.run.sent == new.run.sent:
                return old
            raise Conflict(
                f"This Idempotency-Key has created the job {new.id} with other fields. Choose "
                "another key."
            )
        return None

    def create_again(
        self,
        job_id: JobId,
        fields: Mapping[str, object],
        visible: Mapping[str, object] = _ANYBODYS,
        check: Callable[[Job], None] = _anything,
        kept: Callable[[Job], Mapping[str, object]] = _none_kept,
    ) -> Job:
        """Store a new job with the client's fields and the seed of an old one, for its owner.

        Parameters
        ----------
        fields : mapping
            Fields that replace the old ones.
        check : callable
            Raises if the old job is not to be copied like this.
        kept : callable
            Returns the options kept now with the data file that the old job read.

        Raises
        ------
        BadRequest
            If only the server sets one of the fields.
        NotFound
            If there is no such job that may be seen.
        """
        check(old := self.get(job_id, visible))
        again = {**_seed_of(old), **old.inherited(fields, kept(old)), **fields}
        return self._insert(Job.new(again, owner=old.owner).updated({"rerun_of": str(job_id)}))

    def _insert(self, job: Job) -> Job:
        self.database.check_room()
        job, size = _sized(job)
        if not self.usage.charge(job.owner, size, partial(self._is_inserted, job)):
            text = f"The job {job.id} already exists."
            raise Conflict(Advised(text, "Choose another id, or send PUT /job."))
        return job

    def _is_inserted(self, job: Job) -> bool:
        return self.database.insert("jobs", job.document)

    def get(self, job_id: JobId, visible: Mapping[str, object] = _ANYBODYS) -> Job:
        """Return a job; raise `NotFound` if there is none that may be seen.

        Parameters
        ----------
        visible : mapping
            Filter of the jobs that may be seen; see `jobserver.users.policy.visibility_filter`.
        """
        document = self.database.call(self._jobs.find_one, {"_id": job_id, **visible})
        if document is None:
            raise NotFound(no_job(job_id))
        return Job(document)

    def edit(
        self,
        job_id: JobId,
        fields: Mapping[str, object],
        visible: Mapping[str, object] = _ANYBODYS,
        check: Callable[[Job], None] = _anything,
        merge: Merge = _replaced,
    ) -> Job:
        """Merge fields into a job that was not started yet, or flags alone into any job.

        Parameters
        ----------
        check : callable
            Raises if the job is not to be changed as it is.
        merge : callable
            Returns the fields of a job as they will be; `merge_patch` removes some.

        Raises
        ------
        BadRequest
            If there are no fields.
        NotFound, Conflict
            If there is no such job, or it was started.
        """
        if not fields:
            raise BadRequest("Send the fields to change as a JSON object.")
        is_flags = fields.keys() <= set(FLAGS)
        self.database.check_room()
        while True:
            job = self.get(job_id, visible)
            check(job)
            if job.state is not State.CREATED and not is_flags:
                text = (
                    f"The job {job_id} {job.state.described} and can no longer be changed, apart "
                    "from 'pinned' and 'public' alone."
                )
                advice = f"POST /job/{job_id}/rerun creates a copy with the fields you send."
                raise Conflict(Advised(text, advice))
            merged = merge(job, fields)
            removed = {"unset": dict.fromkeys(fields.keys() - merged.keys(), "")}
            values = {**merged, "edited": utcnow()}
            size = job.run.size if is_flags else _edited_size(job, fields, merged)
            values |= {} if size == job.run.size else private(size=size)
            change = GuardedUpdate.if_unchanged(job, values, removed if removed["unset"] else {})
            if self.usage.charge(job.owner, size - job.run.size, partial(self._is_made, change)):
                return change.applied(job)

    def _is_made(self, change: GuardedUpdate) -> bool:
        return self.updates.make(change)[0]

    def change(
        self,
        job_id: JobId,
        guard: Mapping[str, object],
        values: Mapping[str, object],
        **operators: Mapping[str, object],
    ) -> bool:
        """Change a job if a guard holds.

        Parameters
        ----------
        guard : mapping
            The condition, as a query.
        values : mapping
            Fields to set.
        **operators : mapping
            Further update operators by name without ``$``.

        Returns
        -------
        bool
            Whether this call changed it. A repeated try recognizes its own change.
        """
        return self.updates.make(GuardedUpdate.build(job_id, guard, values, operators))[0]

    def bytes_stored(self, owner: ObjectId) -> int:
        """Return how many bytes the jobs of a user take, with their results."""
        found = find_jobs(self.database, owned_by(owner), [PRIVATE])
        return sum(job.run.size + job.run.result_size for job in found)

    def delete(
        self,
        job_id: JobId,
        visible: Mapping[str, object] = _ANYBODYS,
        check: Callable[[Job], None] = _anything,
    ) -> None:
        """Delete a job and all that was stored for it.

        Parameters
        ----------
        check : callable
            Raises if the job is not to be deleted as it is.

        Raises
        ------
        NotFound, Conflict
            If there is no such job, or it is queued or running.
        """
        check(job := self.get(job_id, visible))
        if not self.deleter.delete([job]):
            job = self.get(job_id, visible)  # raises NotFound if another request was faster
            raise Conflict(
                f"The job {job_id} {job.state.described}. Cancel it, or wait for it to end."
            )

    def delete_all(self, owner: ObjectId | None = None) -> tuple[int, int]:
        """Delete all jobs, or all of one owner, except those queued or running.

        Returns
        -------
        deleted, total : int
            How many were deleted, of how many there were.
        """
        deleted = total = 0
        found = self.listing.read(Selection({}, NEEDED_TO_DELETE, owner=owner))
        while batch := list(islice(found, _BATCH)):
            total += len(batch)
            deleted += self.deleter.delete(batch)
        return deleted, total


def _sized(job: Job) -> tuple[Job, int]:
    """Return a new job with its size noted, and the size; only users have a storage quota."""
    if job.owner is None:
        return job, 0
    size = encoded_size(job.document)
    return job.updated(private(size=size)), size


def _edited_size(job: Job, fields: Mapping[str, object], merged: Mapping[str, object]) -> int:
    """Return the size of a job after an edit; see `_sized`."""
    kept = {name: value for name, value in job.document.items() if name not in fields}
    return 0 if job.owner is None else encoded_size({**kept, **merged})


def merge_patch(job: Job, patch: Mapping[str, object]) -> Document:
    """Return fields of a job as a JSON merge patch changes them; null removes a field.

    See RFC 7396.
    """
    return {
        name: _patched(job.document.get(name), value)
        for name, value in patch.items()
        if value is not None
    }


def _patched(value: object, patch: object) -> object:
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(value) if isinstance(value, Mapping) else {}
    for name, new in patch.items():
        if new is None:
            merged.pop(name, None)
        else:
            merged[name] = _patched(merged.get(name), new)
    return merged


def no_job(job_id: JobId) -> str:
    """Return the message about a job that does not exist."""
    return Advised(f"There is no job {job_id}.", "GET /jobs lists all.")


def _seed_of(job: Job) -> Document:
    """Return the seed of a job that ran, as a field of another job."""
    seed = (job.provenance or {}).get("seed")
    return {} if seed is None else {"seed": seed}
