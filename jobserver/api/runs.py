"""``/job/<id>/...``: one job's run: start, cancel, log, events."""

from __future__ import annotations

from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field

from jobserver.api.event_streams import job_events, jobs_events, streamed
from jobserver.api.framework.current import services
from jobserver.api.framework.endpoint import Answer, DocumentQuery, Query, endpoint
from jobserver.api.framework.identity import actor, owner_filter, session_still_valid
from jobserver.api.framework.schemas import JobDocument
from jobserver.api.job import shown
from jobserver.errors import Forbidden
from jobserver.jobs import logs
from jobserver.processes.forms import holds_code
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER, parse_id
from jobserver.users import Role, authorize

runs = Blueprint("runs", __name__)


class LogQuery(Query):
    """Where in a log to begin."""

    offset: Annotated[int, Field(ge=0)] = 0


@endpoint(
    runs,
    "GET POST PUT",
    "/job/<job_id>/run",
    policy="job.run",
    query=DocumentQuery,
    answers={202: JobDocument},
    refusals=(404, 409, 422, 429),
)
def run_job(job_id: str, query: DocumentQuery) -> Answer:
    """Start a job: it is checked, queued and run."""
    document = services().executor.accept(parse_id(job_id), owner_filter(), authorize_run)
    return shown(document, query, 202)


def authorize_run(document: Document) -> str | None:
    """Refuse code that is not of a superuser, asked for by one; the mail address of the owner.

    Without login whoever reaches this machine may run code, where its administrator allows any.

    Raises
    ------
    Unauthorized, Forbidden
        If the job carries code, and who asks or who owns it may not run any.
    """
    parts = services()
    if not parts.settings.LOGIN_REQUIRED:
        return None
    owner = parts.accounts.users.get(document[OWNER])
    if holds_code(document.get("script")):
        authorize(actor(), "eval")
        if owner is None or Role(owner["role"]) is not Role.SUPERUSER:
            raise Forbidden("The job carries code, and its owner is no superuser.")
    return owner["email"] if owner else None


@endpoint(
    runs,
    "POST",
    "/job/<job_id>/cancel",
    policy="job.cancel",
    query=DocumentQuery,
    answers={202: JobDocument},
    refusals=(404, 409),
)
def cancel_job(job_id: str, query: DocumentQuery) -> Answer:
    """Cancel a job that is queued or running."""
    return shown(services().executor.cancel(parse_id(job_id), owner_filter()), query, 202)


@endpoint(
    runs,
    "GET",
    "/job/<job_id>/log",
    policy="job.log",
    query=LogQuery,
    answers={200: "text/plain"},
    refusals=(404,),
)
def read_log(job_id: str, query: LogQuery) -> Response:
    """Read what a job's script printed, from an offset in bytes on."""
    parts = services()
    key = parts.jobs.get(parse_id(job_id), owner_filter())["_run"]["key"]
    text = logs.read(parts.database, key, query.offset)
    return Response(text, content_type="text/plain; charset=utf-8")


@endpoint(
    runs,
    "GET",
    "/job/<job_id>/events",
    policy="job.log",
    answers={200: "text/event-stream"},
    refusals=(404,),
)
def follow_job(job_id: str) -> Response:
    """Follow a job: its state, its progress and its log as server-sent events."""
    document = services().jobs.get(parse_id(job_id), owner_filter())
    last = request.headers.get("Last-Event-ID", "")
    return streamed(job_events(services(), document, last, session_still_valid()))


@endpoint(
    runs,
    "GET",
    "/jobs/events",
    policy="jobs.list",
    answers={200: "text/event-stream"},
)
def follow_jobs() -> Response:
    """Follow all jobs: each change of a state or of progress as a server-sent event."""
    last = request.headers.get("Last-Event-ID", "")
    return streamed(jobs_events(services(), last, owner_filter(), session_still_valid()))
