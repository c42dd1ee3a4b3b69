"""``/job/<id>/...``: one job's run: start, cancel, log, events, result."""

from __future__ import annotations

from itertools import chain, islice
from typing import Annotated, Literal

from flask import Blueprint, Response, request
from pydantic import Field

from jobserver.api.datafile import file_response
from jobserver.api.event_streams import (
    has_seen_end,
    job_events,
    jobs_events,
    streamed,
    wait_for_end,
)
from jobserver.api.framework.endpoint import Answer, DocumentQuery, Query, endpoint
from jobserver.api.framework.headers import disposition
from jobserver.api.framework.identity import (
    actor,
    client_is_gone,
    owner_filter,
    services,
    session_still_valid,
)
from jobserver.api.framework.schemas import JobDocument, Result
from jobserver.api.job import WaitQuery, check_job, readable, shown
from jobserver.encoding import BINARY_TABLES, show_file, show_value
from jobserver.errors import Advised, Conflict, Forbidden
from jobserver.jobs import logs
from jobserver.jobs.job import Job, State
from jobserver.processes.forms import holds_code
from jobserver.storage.documents import parse_id
from jobserver.users.policy import Role, authorize

runs = Blueprint("runs", __name__)
results = Blueprint("results", __name__)

_OTHER_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "png": "image/png",
    "bin": "application/octet-stream",
}
_MEDIA_TYPES = {"json": "application/json", **_OTHER_TYPES}


class LogQuery(Query):
    """Where in a log to start."""

    offset: Annotated[int, Field(ge=0, description="Bytes to skip.", examples=[1024])] = 0


@endpoint(
    runs,
    "GET POST PUT",
    "/job/<job_id>/run",
    policy="job.run",
    query=WaitQuery,
    answers={202: JobDocument},
    refusals=(404, 409, 412, 422, 429),
    headers={202: ("Preference-Applied",)},
    reads=("Prefer",),
)
def run_job(job_id: str, query: WaitQuery) -> Answer:
    """Start a job: check it, queue it, and run it; on request, wait for its end."""
    job = services().executor.accept(parse_id(job_id), owner_filter(), authorize_run)
    if seconds := query.seconds():
        wait_for_end(job, seconds)
        job = services().jobs.get(job.id, owner_filter())
    return shown(job, query, 202, **query.applied())


def authorize_run(job: Job) -> str | None:
    """Refuse code unless sender and owner are superusers; return the owner's email address.

    A job that is not as ``If-Match`` says is refused, too.

    Without login, anybody on this machine may run code if the administrator has allowed it.

    Raises
    ------
    Changed
        If the job has changed since the client saw it.
    Unauthorized, Forbidden
        If it contains code that the sender or the owner may not run.
    """
    check_job(job)
    parts = services()
    if not parts.settings.LOGIN_REQUIRED:
        return None
    owner = parts.accounts.users.get(job.owner)
    if holds_code(job.script):
        authorize(actor(), "eval")
        if owner is None or owner.role is not Role.SUPERUSER:
            raise Forbidden("The job contains code, and its owner is not a superuser.")
    return owner.email if owner else None


@endpoint(
    runs,
    "POST",
    "/job/<job_id>/cancel",
    policy="job.cancel",
    query=DocumentQuery,
    answers={202: JobDocument},
    refusals=(404, 409, 412),
)
def cancel_job(job_id: str, query: DocumentQuery) -> Answer:
    """Cancel a job that is queued or running."""
    check_job(services().jobs.get(parse_id(job_id), owner_filter()))
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
    """Read the output of a job's script, from an offset in bytes."""
    parts = services()
    run = parts.jobs.get(parse_id(job_id), owner_filter()).run
    end = logs.size(parts.database, run.key, run.attempt)  # it may grow meanwhile
    text = logs.read(parts.database, run.key, query.offset, end)
    response = Response(text, content_type="text/plain; charset=utf-8")
    response.content_length = max(end - query.offset, 0)
    return response


@endpoint(
    runs,
    "GET",
    "/job/<job_id>/events",
    policy="job.log",
    answers={200: "text/event-stream", 204: ()},
    refusals=(404,),
    reads=("Last-Event-ID",),
)
def follow_job(job_id: str) -> Response:
    """Follow a job: its state, progress and log as server-sent events."""
    job = services().jobs.get(parse_id(job_id), owner_filter())
    last = request.headers.get("Last-Event-ID", "")
    if has_seen_end(services(), job, last):
        ended = Response(status=204)  # browsers then stop to connect again
        del ended.headers["Content-Type"]
        return ended
    return streamed(job_events(services(), job, last, session_still_valid()))


@endpoint(
    runs,
    "GET",
    "/jobs/events",
    policy="jobs.list",
    answers={200: "text/event-stream"},
    reads=("Last-Event-ID",),
)
def follow_jobs() -> Response:
    """Follow all jobs: each change of state or progress as a server-sent event."""
    last = request.headers.get("Last-Event-ID", "")
    return streamed(jobs_events(services(), last, owner_filter(), session_still_valid()))


class ResultQuery(Query):
    """The format of a result."""

    format: Annotated[
        Literal["json", "csv", "html", "txt", "xlsx", "parquet", "png", "bin"],
        Field(
            description="json for any result; png for a picture, bin for bytes, txt for text; and "
            "csv, html, txt, xlsx or parquet for a table."
        ),
    ] = "json"
    typed: Annotated[
        bool, Field(description="Whether arrays in JSON have their type, dtype and shape.")
    ] = False


@endpoint(
    results,
    "GET",
    "/job/<job_id>/result",
    policy="job.read",
    query=ResultQuery,
    answers={200: (Result, *(kind.partition(";")[0] for kind in _OTHER_TYPES.values()))},
    refusals=(404, 409, 415),
    headers={200: ("Content-Disposition",)},
)
def read_result(job_id: str, query: ResultQuery) -> Response:
    """Read only the result of a finished job, in a format that suits it."""
    jobs = services().jobs
    job = readable(job_id)
    if job.state is not State.FINISHED:
        text = f"The job {job_id} {job.state.described} and has no result."
        raise Conflict(Advised(text, f"See GET /job/{job_id}."))
    kind = _MEDIA_TYPES[query.format]
    way = "attachment" if query.format in (*BINARY_TABLES, "bin") else "inline"
    shown = disposition(way, f"{job_id}.{query.format}")
    file = jobs.results.open(job)
    if query.format in BINARY_TABLES:
        result = job.result if file is None else file
        written = services().previews.write_result(result, query.format, client_is_gone())
        return file_response(written, kind, shown)
    headers = {"Content-Disposition": shown}
    if file is None:
        content = show_value(job.result, query.format, typed=query.typed)
        return Response(b"".join(content), headers=headers, content_type=kind)
    pieces = iter(show_file(file, query.format, typed=query.typed))
    # Produce the first piece before the answer starts, while it can still be an error.
    return Response(chain(list(islice(pieces, 1)), pieces), headers=headers, content_type=kind)
