"""``/job``: one job: create, read, change, delete."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, url_for

from jobserver.api.framework.endpoint import Answer, DocumentQuery, endpoint, wants_strings
from jobserver.api.framework.identity import actor, is_stranger, owner_filter, services
from jobserver.api.framework.schemas import Deleted, JobDocument, JobFields
from jobserver.jobs.job import public, shared
from jobserver.jobs.store import no_job
from jobserver.storage.database import Document
from jobserver.storage.documents import parse_id
from jobserver.users.policy import authorize

job = Blueprint("job", __name__)


def shown(document: Document, query: DocumentQuery, status: int = 200, **headers: str) -> Answer:
    """A job as it is answered."""
    content = public(shared(document) if is_stranger(document) else document)
    return Answer(content, status, headers, strings=wants_strings(query))


def readable(job_id: str) -> Document:
    """A job that who asks may read, perhaps because it is public."""
    parsed = parse_id(job_id)
    document = services().jobs.get(parsed)
    authorize(actor(), "job.read", document, no_job(parsed))
    return document


@endpoint(
    job,
    "PUT",
    "/job",
    policy="job.create",
    body=JobFields,
    query=DocumentQuery,
    answers={201: JobDocument},
)
def create_job(body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Create a job; its id is made by the server."""
    document = services().jobs.create(body, owner=actor().id)
    return _created(document, query)


@endpoint(
    job,
    "PUT",
    "/job/<job_id>",
    policy="job.create",
    body=JobFields,
    query=DocumentQuery,
    answers={201: JobDocument},
    refusals=(409,),
)
def create_named_job(job_id: str, body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Create a job with an id of your own."""
    document = services().jobs.create(body, parse_id(job_id), actor().id)
    return _created(document, query)


def _created(document: Document, query: DocumentQuery) -> Answer:
    location = url_for("job.read_job", job_id=str(document["_id"]))
    return shown(document, query, 201, Location=location)


@endpoint(
    job,
    "GET",
    "/job/<job_id>",
    policy="job.read",
    query=DocumentQuery,
    answers={200: JobDocument},
    refusals=(404,),
)
def read_job(job_id: str, query: DocumentQuery) -> Answer:
    """Read a job: its state, its times, its result."""
    return shown(readable(job_id), query)


@endpoint(
    job,
    "POST",
    "/job/<job_id>",
    policy="job.change",
    body=JobFields,
    query=DocumentQuery,
    answers={200: JobDocument},
    refusals=(404, 409),
)
def change_job(job_id: str, body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Merge fields into a job that was not started."""
    return shown(services().jobs.edit(parse_id(job_id), body, owner_filter()), query)


@endpoint(
    job,
    "POST",
    "/job/<job_id>/rerun",
    policy="job.change",
    body=JobFields,
    query=DocumentQuery,
    answers={201: JobDocument},
    refusals=(404,),
)
def rerun_job(job_id: str, body: dict[str, Any], query: DocumentQuery) -> Answer:
    """Make a new job of an old one, to be started; fields of the body replace the old one's."""
    document = services().jobs.create_again(parse_id(job_id), body, owner_filter())
    return _created(document, query)


@endpoint(
    job,
    "DELETE",
    "/job/<job_id>",
    policy="job.delete",
    answers={200: Deleted},
    refusals=(404, 409),
)
def delete_job(job_id: str) -> Answer:
    """Delete a job that is neither queued nor running."""
    services().jobs.delete(parse_id(job_id), owner_filter())
    message = f"The job {job_id} was deleted."
    return Answer({"status": 200, "acknowledged": True, "message": message})
