"""``/jobs``: many jobs: list, search, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from flask import Blueprint, Response

from jobserver.api.endpoint import Answer, DocumentQuery, endpoint, wants_strings
from jobserver.api.schemas import AllDeleted, Filter, JobList
from jobserver.api.services import services
from jobserver.database import Document
from jobserver.encoding import dumps
from jobserver.filters import compile_filter
from jobserver.models.job import public

jobs = Blueprint("jobs", __name__)


@endpoint(jobs, "GET", "/jobs", query=DocumentQuery, answers={200: JobList}, refusals=(400,))
def list_jobs(query: DocumentQuery) -> Response:
    """List all jobs, oldest first."""
    return _listed({}, query)


@endpoint(
    jobs,
    "POST",
    "/jobs",
    body=Filter,
    query=DocumentQuery,
    answers={200: JobList},
    refusals=(400, 413, 415),
)
def search_jobs(body: dict[str, Any], query: DocumentQuery) -> Response:
    """List the jobs that match a filter, oldest first."""
    return _listed(compile_filter(body), query)


@endpoint(jobs, "DELETE", "/jobs", answers={200: AllDeleted})
def delete_jobs() -> Answer:
    """Delete all jobs but those queued or running."""
    deleted, total = services().jobs.delete_all()
    message = f"{deleted} of {total} jobs were deleted."
    return Answer(
        {
            "status": 200,
            "acknowledged": deleted == total,
            "deleted": deleted,
            "total": total,
            "message": message,
        }
    )


def _listed(selection: Document, query: DocumentQuery) -> Response:
    documents = services().jobs.list(selection)
    # Asked for before the answer begins, while it can still be a refusal.
    first = list(islice(documents, 1))
    pieces = _stream(chain(first, documents), wants_strings(query))
    return Response(pieces, mimetype="application/json")


def _stream(documents: Iterable[Document], strings: bool) -> Iterator[bytes]:
    """The list as JSON, job by job: its size never matters."""
    found = 0
    yield b'{"jobs":['
    for found, document in enumerate(documents, 1):
        yield (b"," if found > 1 else b"") + dumps(public(document), strings=strings)
    yield b'],"found":%d}' % found
