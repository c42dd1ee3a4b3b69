"""How attempts end, and what a job's document holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobserver.encoding import encoded_size
from jobserver.jobs.job import Job, State, private
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Document


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes
    ----------
    state : State
        ``FINISHED``, ``FAILED`` or ``CANCELLED``; ``QUEUED`` for `NOT_BEGUN`.
    result : object
        What the script returned, ready for the database.
    error : str or None
        Kind of failure in a word: the exception's type, ``Timeout``, ``Interrupted``...
    message : str or None
        What happened, for the user.
    file : dict or None
        A large result: ``path``, ``kind`` and ``form`` of the file that the script's process
        left, or what the job's document holds of it once it is stored.
    provenance : dict or None
        What the run depended on, if its process reported that; see `jobserver.child.provenance`.
    steps : list of dict or None
        The steps of a pipeline; see `jobserver.execution.run_output.StepRecords`.
    finished : datetime or None
        When the attempt ended, which may be long before it is stored.
    """

    state: State
    result: object = None
    error: str | None = None
    message: str | None = None
    file: Document | None = None
    provenance: Document | None = None
    steps: list[Document] | None = None
    finished: datetime | None = None


CHANNEL_BROKEN = Outcome(
    State.FAILED, error="Killed", message="the script broke the connection to its process"
)
UNSTORABLE = Outcome(
    State.FAILED,
    error="Unstorable",
    message="the script's result cannot be stored; see the server's log",
)
NOT_STARTED = Outcome(
    State.FAILED,
    error="Killed",
    message="the script's process did not start; see the server's log",
)
#: The script was not called yet; the job is queued again.
NOT_BEGUN = Outcome(State.QUEUED)
CANCELLED = Outcome(State.CANCELLED, error="Cancelled", message="cancelled while it ran")
CANCELLED_EARLY = Outcome(State.CANCELLED, error="Cancelled", message="cancelled before it started")

#: Fields that only a running job has.
RUNNING = private(owner="", beat="", lease="", claimed="", cancel="")
#: What an attempt reported, and the next one reports anew.
_REPORTED = {"progress": "", "message": "", "steps": ""}
INTERRUPTED = "Interrupted"


def interrupted(why: str) -> Outcome:
    """Return the outcome of an attempt that was cut off."""
    return Outcome(State.FAILED, error=INTERRUPTED, message=f"interrupted: {why}")


#: For what happens besides runs, and stops with the server.
SHUTDOWN = interrupted("the server shuts down")
NOT_OURS = interrupted("it belongs to another server now")


def lease_expired(job: Job) -> Outcome:
    """Return the outcome of an attempt whose server did not renew its lease."""
    seconds = f"{job.run.lease:g} s"
    return interrupted(f"the server or worker that ran it was silent for more than {seconds}")


def ended_fields(outcome: Outcome, job: Job, printed: int) -> Document:
    """Return the fields of a job that ended, with so many bytes of output."""
    now = utcnow()
    finished = outcome.finished or now
    began = job.started or finished
    values: Document = {
        "finished": finished,
        "edited": now,
        "time_sec": (finished - began).total_seconds(),
        "result": outcome.result,
    }
    if outcome.provenance is not None:
        values["provenance"] = outcome.provenance
    if outcome.state is not State.FINISHED:
        values |= {"error": outcome.error, "message": outcome.message}
    if job.run.notify:
        values |= private(mail=now)  # see `jobserver.jobs.notifications`
    if outcome.steps:
        values["steps"] = outcome.steps
    if job.owner is not None:  # whose storage quota it takes
        size: int = (outcome.file or {}).get("size", 0)
        values |= private(result_size=size + printed + encoded_size(values))
    return values if outcome.file is None else {**values, **private(file=outcome.file)}


def result_size(values: Document) -> int:
    """Return what `ended_fields` adds to the storage of the job's owner, in bytes."""
    (name,) = private(result_size=0)
    size: int = values.get(name, 0)
    return size


def ended(outcome: Outcome, job: Job, printed: int) -> tuple[Document, Document]:
    """Return the fields that the end of a run sets, and further update operators."""
    passed = {"error": "", "message": ""} if outcome.state is State.FINISHED else {}
    operators: Document = {"unset": RUNNING | passed}
    if job.retries:
        operators["push"] = {"attempts": _entry(job, outcome)}
    return {**ended_fields(outcome, job, printed), "state": outcome.state}, operators


def requeued(outcome: Outcome, job: Job) -> tuple[Document, Document]:
    """Return the fields that queueing a job again sets, and further update operators."""
    operators: Document = {"unset": RUNNING | _REPORTED}
    if outcome.state is not State.QUEUED:
        operators["push"] = {"attempts": _entry(job, outcome)}
    return {"edited": utcnow(), "state": State.QUEUED}, operators


def _entry(job: Job, outcome: Outcome) -> Document:
    """Return the entry of an attempt in its job's list of attempts."""
    return {
        "attempt": job.run.attempt,
        "started": job.run.claimed,
        "finished": outcome.finished or utcnow(),
        "state": outcome.state,
        "error": outcome.error,
        "message": outcome.message,
    }


def may_be_retried(job: Job, outcome: Outcome) -> bool:
    """Whether the job has retries left after an attempt with this outcome."""
    return outcome.state is State.FAILED and job.run.attempt <= job.retries
