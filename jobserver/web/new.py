"""The page of a new job: choose a script and data, and fill in the parameters."""

from __future__ import annotations

from contextlib import suppress

from flask import Response
from pydantic import Field

from jobserver.api.framework.endpoint import Query
from jobserver.api.framework.identity import is_stranger
from jobserver.api.job import readable
from jobserver.data.files import EXTENSIONS
from jobserver.errors import ApiError
from jobserver.jobs.job import SERVER_FIELDS
from jobserver.storage.database import Document
from jobserver.tables.datatypes import DATATYPES
from jobserver.tables.options import applicable
from jobserver.web.pages import page, render


class NewJobQuery(Query):
    """What the form starts with; the script of the page reads it."""

    from_job: str = Field("", alias="from", max_length=64)
    script: str = Field("", max_length=300)
    datafile: str = Field("", max_length=100)
    data: str = Field("", max_length=64)
    options: str = Field("", max_length=4000)


@page("/new", policy="job.create", query=NewJobQuery)
def show_new_job(query: NewJobQuery) -> Response:
    """Show the form of a new job."""
    return render(
        "new.html",
        source=query.from_job,
        is_shared=_is_shared(query.from_job),
        server_fields=sorted(SERVER_FIELDS),
        **options_editor(),
    )


def _is_shared(job_id: str) -> bool:
    """Whether a job belongs to somebody else, who shares it; the form leaves its data out."""
    with suppress(ApiError):
        return bool(job_id) and is_stranger(readable(job_id).document)
    return False


def options_editor() -> Document:
    """Return what the editor of the options of reading needs."""
    known = {f".{extension}": applicable(f".{extension}") for extension in EXTENSIONS}
    return {"applicable": {"": applicable(""), **known}, "datatypes": [*DATATYPES]}
