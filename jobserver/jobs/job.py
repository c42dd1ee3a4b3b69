"""The job: one document, one run. Its fields and states, and what a client may set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

from bson import ObjectId

from jobserver.encoding import plain, restore_keys
from jobserver.storage.clock import new_id, utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import (
    OWNER,
    DocumentView,
    JobId,
    StoredField,
    check_fields,
    owned_by,
)

#: Field with the private part of a job, which is never shown.
PRIVATE = "_run"
#: Fields that only the server sets.
SERVER_FIELDS = frozenset(
    ("_id", "created", "started", "finished", "edited", "result", "time_sec", "error", "message")
) | {"state", "progress", "steps", "attempts", "provenance", "rerun_of", PRIVATE, OWNER}
#: Fields that can be changed at any time.
FLAGS = ("pinned", "public")
#: Fields of a public job that everybody may see: what it ran, and the result.
_SHARED = frozenset(
    ("_id", "created", "started", "finished", "time_sec", "state", "progress", "result", "public")
) | {"script_name", "script", "datafile"}
#: Fields that a run adds, in the order in which they are shown.
_ADDED = (
    *("edited", "script", "data", "progress", "steps", "attempts", "time_sec", "provenance"),
    *("error", "message"),
)
#: Fields of a script that hold parameters, which may have any names.
_PARAMETERS = frozenset(("args", "kwargs", "over"))
#: Fields that name a job's script, and fields that bind its data: alternatives to each other.
SCRIPT_FIELDS = frozenset({"script", "script_name"})
DATA_FIELDS = frozenset({"data", "datafile", "raw_data"})
#: Fields of a client's that the server reads.
READ_FIELDS = SCRIPT_FIELDS | DATA_FIELDS | {*FLAGS, "timeout", "retries", "seed", "notify"}
READ_FIELDS |= {"resources"}
_NOT_SENT = object()


class State(StrEnum):
    """State of a job."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def described(self) -> str:
        """The verb and the state, for a message about a job."""
        verb = {State.FINISHED: "has", State.FAILED: "has", State.CANCELLED: "was"}.get(self, "is")
        return f"{verb} {self.value}"


#: All changes of state. Each is one guarded update; see `lifecycle.transitions`.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.CREATED: frozenset({State.QUEUED}),
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.FINISHED, State.FAILED, State.CANCELLED, State.QUEUED}),
    State.FINISHED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
ACTIVE = frozenset({State.QUEUED, State.RUNNING})
TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


class RunState(DocumentView):
    """The private part of a job, always loaded as a whole.

    Attributes
    ----------
    attempt : int
        Number of the last attempt; 0 before the first.
    change : ObjectId
        Id of the job's last change.
    key : ObjectId
        Under which logs and large results are stored: not the job's id, which may be used again.
    owner : str
        While it runs: name of the executor that claimed it.
    lease : float
        While it runs: seconds without a heartbeat after which it counts as interrupted.
    beat, claimed : datetime
        While it runs: its last heartbeat, and when this attempt began.
    cancel : bool
        Whether it is to be stopped.
    charge : ObjectId or None
        Token of the charge to its owner's quotas.
    notify : str
        Address to notify when it ends; empty for none.
    mail : datetime or None
        When it ended, while that mail is due.
    size, result_size : int
        Bytes that it takes of its owner's storage quota: as it was sent, and what its end added.
    file : dict or None
        Its large result: ``key``, ``kind``, ``form``, ``size``.
    sent : bytes or None
        Checksum of the fields it was created with, if the request had an ``Idempotency-Key``.
    request : str
        Id of the request that started it; empty if none did.
    """

    attempt = StoredField[int]("attempt")
    change = StoredField[ObjectId]("change")
    key = StoredField[ObjectId]("key")
    owner = StoredField[str]("owner")
    lease = StoredField[float]("lease")
    beat = StoredField[datetime]("beat")
    claimed = StoredField[datetime]("claimed")
    cancel = StoredField[bool]("cancel", False)
    charge = StoredField[ObjectId | None]("charge", None)
    notify = StoredField[str]("notify", "")
    mail = StoredField[datetime | None]("mail", None)
    size = StoredField[int]("size", 0)
    result_size = StoredField[int]("result_size", 0)
    file = StoredField[Document | None]("file", None)
    sent = StoredField[bytes | None]("sent", None)
    request = StoredField[str]("request", "")


class Job(DocumentView):
    """A job: the client's fields, those that the server adds, and the private part of its run.

    The fields are those of the stored document. What a client set is checked only when the job is
    accepted: see `jobserver.jobs.binding`.
    """

    id = StoredField[JobId]("_id")
    owner = StoredField[ObjectId | None](OWNER, None)
    created = StoredField[datetime]("created")
    started = StoredField[datetime | None]("started")
    finished = StoredField[datetime | None]("finished")
    time_sec = StoredField[float]("time_sec")
    result = StoredField[object]("result")
    error = StoredField[str | None]("error", None)
    message = StoredField[str | None]("message", None)
    script = StoredField[Document | None]("script", None)
    seed = StoredField[int | None]("seed", None)
    notify = StoredField[object]("notify", None)
    timeout = StoredField[float | None]("timeout", None)
    provenance = StoredField[Document | None]("provenance", None)
    resources = StoredField[object]("resources", None)
    _state = StoredField[str]("state")
    _run = StoredField[Document](PRIVATE)
    _retries = StoredField[object]("retries", 0)
    _pinned = StoredField[object]("pinned", False)

    @property
    def state(self) -> State:
        """Its state."""
        return State(self._state)

    @property
    def run(self) -> RunState:
        """Its private part."""
        return RunState(self._run)

    @property
    def retries(self) -> int:
        """How often it may be tried again."""
        return self._retries if isinstance(self._retries, int) else 0

    @property
    def is_pinned(self) -> bool:
        """Whether it is kept when its time is over."""
        return self._pinned is True

    @property
    def own_fields(self) -> list[str]:
        """The names of the client's fields that the server does not read."""
        return [name for name in self.document if name not in SERVER_FIELDS | READ_FIELDS]

    @classmethod
    def new(
        cls,
        fields: Mapping[str, object],
        job_id: JobId | None = None,
        owner: ObjectId | None = None,
    ) -> Self:
        """Return a new job with the client's fields.

        Raises
        ------
        BadRequest
            If only the server sets one of the fields.
        """
        check_fields(fields, SERVER_FIELDS)
        document = {
            "_id": new_id() if job_id is None else job_id,
            "created": utcnow(),
            "started": None,
            "finished": None,
            "result": None,
            "state": State.CREATED.value,
            **fields,
            PRIVATE: {"attempt": 0, "change": new_id(), "key": new_id()},
            **owned_by(owner),
        }
        return cls(document)

    def updated(self, values: Mapping[str, object]) -> Self:
        """Return the job with the fields that an update sets, the private ones by their paths."""
        prefix = f"{PRIVATE}."
        inside = [name for name in values if name.startswith(prefix)]
        run = {name.removeprefix(prefix): values[name] for name in inside}
        others = {name: values[name] for name in values if name not in inside}
        document = {**self.document, **others, PRIVATE: {**self._run, **run}}
        return type(self)(document, self.loaded)

    def inherited(self, replacing: Iterable[str], kept: Iterable[str] = ()) -> Document:
        """Return the fields that a rerun takes, as the client sent them.

        Parameters
        ----------
        replacing : iterable of str
            Fields that the rerun gets otherwise. One way to name the script or the data replaces
            all.
        kept : iterable of str
            Options kept now with the data file of the job: null turns those off that it was read
            without.
        """
        fields = {name: self.document[name] for name in self.document if name not in SERVER_FIELDS}
        if self.started is not None:  # then the server completed these two
            fields |= _as_sent(fields, kept)
        for alternatives in (SCRIPT_FIELDS, DATA_FIELDS):
            if alternatives & set(replacing):
                fields = {name: fields[name] for name in fields if name not in alternatives}
        return {name: value for name, value in fields.items() if value is not _NOT_SENT}

    def public(self, *, typed: bool = False) -> Document:
        """Return the job as clients see it: no private part, keys as the script returned them.

        Fields that a run adds come last: each server of MongoDB orders new fields differently.

        Parameters
        ----------
        typed : bool
            Whether arrays in the result have their type, dtype and shape.
        """
        document = self.document
        sent = {"script"} if "script_name" not in document else set()
        if DATA_FIELDS.isdisjoint(document.keys() - {"data"}):
            sent.add("data")
        added = [name for name in _ADDED if name in document and name not in sent]
        names = [name for name in document if name != PRIVATE and name not in added]
        shown = {name: document[name] for name in (*names, *added)}
        if "result" in shown:
            shown["result"] = (restore_keys if typed else plain)(shown["result"])
        return shown

    def shared(self) -> Self:
        """Return a public job as everybody sees it: parameters and result, but no source code."""
        shown = {name: value for name, value in self.document.items() if name in _SHARED}
        if "script" in shown:
            shown["script"] = _without_source(shown["script"])
        return type(self)(shown, _SHARED)


def find_jobs(
    database: Database, query: Mapping[str, object], fields: Iterable[str] = (), **options: object
) -> Iterator[Job]:
    """Yield jobs, fetched in batches.

    Parameters
    ----------
    fields : iterable of str
        Fields to load besides the id; all of them if there are none.
    **options
        See `Database.find`.
    """
    names = [*fields]
    loaded = frozenset(name.partition(".")[0] for name in ("_id", *names)) if names else None
    for document in database.find("jobs", query, projection=names or None, **options):
        yield Job(document, loaded)


def private(**values: object) -> Document:
    """Return fields of the private part by their paths, as queries and updates name them."""
    return {f"{PRIVATE}.{name}": value for name, value in values.items()}


def _as_sent(fields: Document, kept: Iterable[str]) -> Document:
    """Return script and data as the client sent them; the server may have added either.

    A data file is bound with the options that it was read with, as those kept with it may change.
    """
    sent: Document = {}
    script = fields["script"]
    if "script_name" in fields and not (script.get("args") or script.get("kwargs")):
        sent["script"] = _NOT_SENT
    if "data" not in fields or "raw_data" in fields:
        return {**sent, "data": _NOT_SENT}
    bound = {name: value for name, value in fields["data"].items() if name not in ("path", "size")}
    if bound["type"] == "datafile":
        bound |= {name: None for name in kept if name not in bound}
    is_plain = "datafile" in fields and bound.keys() == {"type", "name"}
    left_out = "data" if is_plain else "datafile"
    return {**sent, "data": bound, left_out: _NOT_SENT}


def _without_source(part: object) -> object:
    if isinstance(part, list):
        return [_without_source(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: value if name in _PARAMETERS else _without_source(value)
        for name, value in part.items()
        if name != "code"
    }
