"""``/job/<id>/result``: what a script returned, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Literal

from flask import Blueprint, Response

from jobserver.api.framework.current import services
from jobserver.api.framework.endpoint import Query, endpoint
from jobserver.api.framework.schemas import Result
from jobserver.api.job import readable
from jobserver.encoding import show_file, show_value
from jobserver.errors import Conflict
from jobserver.jobs.job import State

results = Blueprint("results", __name__)

_MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "png": "image/png",
}


class ResultQuery(Query):
    """How to show a result."""

    format: Literal["json", "csv", "html", "txt", "png"] = "json"


@endpoint(
    results,
    "GET",
    "/job/<job_id>/result",
    policy="job.read",
    query=ResultQuery,
    answers={200: (Result, "text/csv", "text/html", "text/plain", "image/png")},
    refusals=(404, 409, 415),
)
def read_result(job_id: str, query: ResultQuery) -> Response:
    """Read the result of a finished job alone, in a format that fits it."""
    jobs = services().jobs
    document = readable(job_id)
    if document["state"] != State.FINISHED:
        raise Conflict(
            f"The job {job_id} is {document['state']} and has no result. GET /job/{job_id} tells "
            "more."
        )
    file = jobs.results.open(document)
    if file is None:
        return _answer(job_id, query.format, b"".join(show_value(document["result"], query.format)))
    pieces = iter(show_file(file, query.format))
    # The first piece is made before the answer begins, while it can still be a refusal.
    return _answer(job_id, query.format, chain(list(islice(pieces, 1)), pieces))


def _answer(job_id: str, form: str, content: bytes | Iterator[bytes]) -> Response:
    name = f'inline; filename="{job_id}.{form}"'
    headers = {"Content-Disposition": name}
    return Response(content, headers=headers, content_type=_MEDIA_TYPES[form])
