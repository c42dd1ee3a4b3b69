"""How attempts end, and what a job's document says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobserver.jobs.job import State
from jobserver.storage.database import Document
from jobserver.storage.documents import utcnow


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes
    ----------
    state : State
        ``FINISHED``, ``FAILED`` or ``CANCELLED``; ``QUEUED`` for `NOT_BEGUN`.
    result : Any
        What the script gave, ready for the database.
    error : str or None
        The kind of failure in a word: the exception's type, ``Timeout``, ``Interrupted``, ...
    message : str or None
        What happened, for the user.
    file : dict or None
        Where and what a large result is: ``path``, ``kind`` and ``form`` of the file that the
        script's process left, or what the job's document says of it once it is stored.
    provenance : dict or None
        What the run depended on, where its process got so far as to tell; see
        `jobserver.child.provenance`.
    steps : list of dict or None
        Of a pipeline: which began when, took how long, ended how.
    finished : datetime or None
        When the attempt ended, which may be long before that can be stored.
    """

    state: State
    result: Any = None
    error: str | None = None
    message: str | None = None
    file: Document | None = None
    provenance: Document | None = None
    steps: list[Document] | None = None
    finished: datetime | None = None


DISTURBED = Outcome(
    State.FAILED, error="Killed", message="the script disturbed the process that ran it"
)
UNSTORABLE = Outcome(
    State.FAILED,
    error="Unstorable",
    message="what the script gave cannot be stored; the server's log tells more",
)
UNSTARTED = Outcome(
    State.FAILED,
    error="Killed",
    message="the process that was to run it did not start; the server's log tells more",
)
#: The script was not called yet, and waits for another attempt.
NOT_BEGUN = Outcome(State.QUEUED)
CANCELLED = Outcome(State.CANCELLED, error="Cancelled", message="cancelled while it ran")
CANCELLED_EARLY = Outcome(State.CANCELLED, error="Cancelled", message="cancelled before it started")

#: Fields that only a running job has.
RUNNING = {f"_run.{name}": "" for name in ("owner", "beat", "lease", "claimed", "cancel")}
#: What an attempt told of itself, and another one tells anew.
_TOLD = {"progress": "", "message": "", "steps": ""}
INTERRUPTED = "Interrupted"


def interrupted(why: str) -> Outcome:
    """How an attempt ends that was cut off."""
    return Outcome(State.FAILED, error=INTERRUPTED, message=f"interrupted: {why}")


#: For what goes on beside runs, and ends with the server.
ENDING = interrupted("the server ends")
LOST = interrupted("it belongs to another server now")


def lease_expired(job: Document) -> Outcome:
    """How an attempt ends whose server gave no sign of life."""
    lease = job["_run"]["lease"]
    return interrupted(f"the server that ran it was silent for more than {lease:g} s")


def ended_fields(outcome: Outcome, job: Document) -> Document:
    """The fields of a job that came to its end."""
    now = utcnow()
    finished = outcome.finished or now
    began = job["started"] or finished
    values = {
        "finished": finished,
        "edited": now,
        "time_sec": (finished - began).total_seconds(),
        "result": outcome.result,
    }
    if outcome.provenance is not None:
        values["provenance"] = outcome.provenance
    if outcome.state is not State.FINISHED:
        values |= {"error": outcome.error, "message": outcome.message}
    if job["_run"].get("notify"):
        values["_run.mail"] = now  # see `jobserver.jobs.notifications`
    if outcome.steps:
        values["steps"] = outcome.steps
    return values if outcome.file is None else {**values, "_run.file": outcome.file}


def ended(outcome: Outcome, job: Document) -> tuple[Document, Document]:
    """What the end of a run sets, and its further update operators."""
    passed = {"error": "", "message": ""} if outcome.state is State.FINISHED else {}
    operators: Document = {"unset": RUNNING | passed}
    if retries_of(job):
        operators["push"] = {"attempts": history(job, outcome)}
    return {**ended_fields(outcome, job), "state": outcome.state}, operators


def requeued(outcome: Outcome, job: Document) -> tuple[Document, Document]:
    """What a run sets whose job is to be tried again, and its further update operators."""
    operators: Document = {"unset": RUNNING | _TOLD}
    if outcome.state is not State.QUEUED:
        operators["push"] = {"attempts": history(job, outcome)}
    return {"edited": utcnow(), "state": State.QUEUED}, operators


def history(job: Document, outcome: Outcome) -> Document:
    """The attempt as it is kept in the job's list of attempts."""
    return {
        "attempt": job["_run"]["attempt"],
        "started": job["_run"]["claimed"],
        "finished": outcome.finished or utcnow(),
        "state": outcome.state,
        "error": outcome.error,
        "message": outcome.message,
    }


def may_be_retried(job: Document, outcome: Outcome) -> bool:
    """Whether the job is tried again after an attempt that ended so."""
    return outcome.state is State.FAILED and job["_run"]["attempt"] <= retries_of(job)


def retries_of(job: Document) -> int:
    """How often a job is tried again."""
    retries = job.get("retries", 0)
    return retries if isinstance(retries, int) else 0
