"""The job: one document, one run. Its fields and states, and what a client may set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from jobserver.encoding import restore_keys
from jobserver.errors import BadRequest, Problem
from jobserver.storage.documents import OWNER, JobId, check_fields, owned_by, utcnow

if TYPE_CHECKING:  # a child loads this module, and has no use for pymongo
    from jobserver.storage.database import Document


#: Fields that only the server sets. ``_run`` is its private part and never shown.
SERVER_FIELDS = frozenset(
    ("_id", "created", "started", "finished", "edited", "result", "time_sec", "error", "message")
) | {"state", "progress", "steps", "attempts", "provenance", "rerun_of", "_run", OWNER}
PRIVATE = "_run"
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
_SCRIPT_FIELDS = frozenset({"script", "script_name"})
DATA_FIELDS = frozenset({"data", "datafile", "raw_data"})
_NOT_SENT: Any = object()


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


def new_document(
    fields: Mapping[str, Any], job_id: JobId | None = None, owner: ObjectId | None = None
) -> Document:
    """Return the document of a new job, with the client's fields.

    Its private part holds the number of the last attempt, the id of the last change, and the key
    under which logs and large results are stored: not the job's id, which may be used again.

    Raises
    ------
    BadRequest
        If only the server sets one of the fields.
    """
    check_fields(fields, SERVER_FIELDS)
    return {
        "_id": ObjectId() if job_id is None else job_id,
        "created": utcnow(),
        "started": None,
        "finished": None,
        "result": None,
        "state": State.CREATED.value,
        **fields,
        PRIVATE: {"attempt": 0, "change": ObjectId(), "key": ObjectId()},
        **owned_by(owner),
    }


def inherited(job: Mapping[str, Any], replacing: Iterable[str]) -> Document:
    """Return the fields that a rerun takes from a job, as the client sent them.

    Parameters
    ----------
    replacing : iterable of str
        Fields that the rerun gets otherwise. One way to name the script or the data replaces all.
    """
    fields = {name: value for name, value in job.items() if name not in SERVER_FIELDS}
    if job["started"] is not None:  # then the server completed these two
        fields |= _as_sent(fields)
    for alternatives in (_SCRIPT_FIELDS, DATA_FIELDS):
        if alternatives & set(replacing):
            fields = {name: value for name, value in fields.items() if name not in alternatives}
    return {name: value for name, value in fields.items() if value is not _NOT_SENT}


def _as_sent(fields: Document) -> Document:
    """Return script and data as the client sent them; the server may have added either."""
    sent: Document = {}
    script = fields["script"]
    if "script_name" in fields and not (script.get("args") or script.get("kwargs")):
        sent["script"] = _NOT_SENT
    if "datafile" in fields or "raw_data" in fields:
        sent["data"] = _NOT_SENT
    elif "data" in fields:
        data = fields["data"]
        sent["data"] = {name: data[name] for name in data if name not in ("path", "size")}
    return sent


def check_flags(fields: Mapping[str, Any]) -> None:
    """Raise if a flag is not a boolean: a job might be deleted or shown by mistake."""
    for name in FLAGS:
        if not isinstance(fields.get(name, False), bool):
            problem = Problem(name, "must be true or false")
            raise BadRequest(f"The field {name} must be true or false.", [problem])


def public(document: Mapping[str, Any]) -> Document:
    """Return a job as clients see it: without the private part, keys as the script returned them.

    Fields that a run adds come last: each server of MongoDB orders new fields differently.
    """
    sent = {"script"} if "script_name" not in document else set()
    if DATA_FIELDS.isdisjoint(document.keys() - {"data"}):
        sent.add("data")
    added = [name for name in _ADDED if name in document and name not in sent]
    names = [name for name in document if name != PRIVATE and name not in added]
    shown = {name: document[name] for name in (*names, *added)}
    return {**shown, "result": restore_keys(shown["result"])} if "result" in shown else shown


def shared(document: Mapping[str, Any]) -> Document:
    """Return a public job as everybody sees it: parameters and result, but no source code."""
    shown = {name: value for name, value in document.items() if name in _SHARED}
    return {**shown, "script": _without_source(shown["script"])} if "script" in shown else shown


def _without_source(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_source(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: value if name in _PARAMETERS else _without_source(value)
        for name, value in part.items()
        if name != "code"
    }
