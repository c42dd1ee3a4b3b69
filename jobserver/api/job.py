"""``/job``: one job: create, read, change, delete."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain
from typing import Annotated, ClassVar

from flask import Blueprint, request, url_for
from pydantic import ConfigDict, Field, model_validator

from jobserver.api.event_streams import wait_for_end
from jobserver.api.framework.body import Body
from jobserver.api.framework.endpoint import (
    Answer,
    DocumentQuery,
    check_match,
    endpoint,
    tags_of,
    wants_strings,
)
from jobserver.api.framework.identity import actor, is_stranger, owner_filter, services
from jobserver.api.framework.schemas import Deleted, JobDocument
from jobserver.errors import BadRequest, NotFound, Problem, UnsupportedType
from jobserver.jobs.job import SCRIPT_FIELDS, SERVER_FIELDS, Job
from jobserver.jobs.store import merge_patch, no_job
from jobserver.storage.database import Document
from jobserver.storage.documents import parse_id
from jobserver.users.policy import authorize

job = Blueprint("job", __name__)
#: Longest wait for a job's end, in seconds.
MAX_WAIT = 60
#: Of RFC 7240.
_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*([0-9]{1,9})\s*(?:$|[,;])", re.I | re.ASCII)
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
#: Fields of a script, not of a job.
_PARAMETERS = ("args", "kwargs")


class JobFields(Body):
    """Fields of a job. Those that describe its run are checked as a whole when it is started."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [  # a job that runs as it stands, which not every field beside it does
                {
                    "script": {"name": "resample", "kwargs": {"period": "MS"}},
                    "datafile": "timeseries.csv",
                }
            ],
            "propertyNames": {
                "pattern": "^[^$.][^.]*$",
                "not": {"enum": [*sorted(SERVER_FIELDS), *_PARAMETERS]},
            },
        },
    )
    reserved: ClassVar[frozenset[str]] = SERVER_FIELDS

    script_name: object = Field(
        None, description="Name of a script to run without parameters.", examples=["summary"]
    )
    script: object = Field(
        None,
        description="The script to run: type, and name, args, kwargs, code, steps or over.",
        examples=[{"name": "summary", "kwargs": {"column": "value"}}],
    )
    datafile: object = Field(
        None,
        description="Data file as the script's first argument.",
        examples=["timeseries.csv"],
    )
    raw_data: object = Field(
        None, description="JSON as the script's first argument.", examples=[[1, 2.5]]
    )
    data: object = Field(
        None,
        description="Data as the script's first argument: type, and name, id or data; and options "
        "of reading.",
        examples=[{"type": "datafile", "name": "timeseries.csv", "separator": ","}],
    )
    timeout: object = Field(None, description="Longest run time in seconds.", examples=[60])
    retries: object = Field(None, description="Number of retries after a failure.", examples=[2])
    seed: object = Field(None, description="Seed of the run's random numbers.", examples=[42])
    notify: object = Field(
        None,
        description="Address to mail when the job ends; true for the owner's own.",
        examples=["user@example.org"],
    )
    resources: object = Field(
        None,
        description="What the run needs: memory, in bytes or with a unit, and amounts of resources "
        "that the workers of a Dask cluster offer.",
        examples=[{"memory": "1 GB"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _check_parameters(cls, content: Mapping[str, object]) -> Mapping[str, object]:
        """Refuse parameters outside the script, which nothing would read."""
        text = 'is not read here: send "script": {{"name": ..., "{0}": ...}}'
        found = [name for name in _PARAMETERS if name in content]
        if problems := [Problem(name, text.format(name)) for name in found]:
            raise BadRequest("Parameters of a script belong in the field 'script'.", problems)
        return content


class JobBody(JobFields):
    """Fields of a job. Those that describe its run are checked as a whole when it is started."""

    public: bool = Field(False, description="Whether every user may read parameters and result.")
    pinned: bool = Field(False, description="Whether RESULT_TTL does not apply.")


class JobPatch(JobFields):
    """Fields of a job to change; null removes one."""

    # Their default is not None, which would hide in the OpenAPI document that null is a value.
    public: bool | None = Field(False, description="Whether every user may read it.")
    pinned: bool | None = Field(False, description="Whether RESULT_TTL does not apply.")


class WaitQuery(DocumentQuery):
    """How long to wait for a job's end."""

    wait: Annotated[
        float | None,
        Field(
            ge=0,
            le=MAX_WAIT,
            description="Seconds to wait for the job's end before answering. The header "
            "'Prefer: wait=30' does the same.",
        ),
    ] = None

    def seconds(self) -> float:
        """Return how long to wait, as the query string or the header ``Prefer`` says."""
        if self.wait is not None:
            return self.wait
        found = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
        return min(float(found[1]), MAX_WAIT) if found else 0.0

    def applied(self) -> dict[str, str]:
        """Return the header that says which preference of the client was followed."""
        seconds = 0.0 if self.wait is not None else self.seconds()
        return {"Preference-Applied": f"wait={seconds:g}"} if seconds else {}


class JobQuery(WaitQuery):
    """The query string of a job."""

    typed: Annotated[
        bool,
        Field(description="Whether arrays in the result have their type, dtype and shape."),
    ] = False


def public(found: Job, root: str, *, typed: bool = False, shared: bool = False) -> Document:
    """Return a job as clients see it, with the address of a large result as they reach it.

    Parameters
    ----------
    root : str
        What addresses begin with: the path of ``PUBLIC_URL``.
    """
    content = (found.shared() if shared else found).public(typed=typed)
    result, href = content.get("result"), f"/job/{found.id}/result"
    if root and isinstance(result, dict) and result.get("href") == href:
        content["result"] = {**result, "href": f"{root}{href}"}
    return content


def shown(found: Job, query: DocumentQuery, status: int = 200, **headers: str) -> Answer:
    """Return a job as answers show it."""
    typed = isinstance(query, JobQuery) and query.typed
    content = public(found, request.script_root, typed=typed, shared=is_stranger(found.document))
    return Answer(content, status, headers, strings=wants_strings(query))


def readable(job_id: str) -> Job:
    """Return a job that the sender may read, as its owner or because it is public."""
    parsed = parse_id(job_id)
    found = services().jobs.get(parsed)
    authorize(actor(), "job.read", found.document, no_job(parsed))
    return found


def kept_options(found: Job) -> Document:
    """Return the options kept now with the data file that a job read, if it still exists."""
    data = found.document.get("data")
    if isinstance(data, dict) and data.get("type") == "datafile":
        with suppress(NotFound, UnsupportedType):
            files = services().datafiles.for_owner(found.owner)
            return dict(files.described(data["name"]).get("options", {}))
    return {}


def check_job(found: Job) -> None:
    """Raise `Changed` if the header ``If-Match`` is sent and has none of the job's ETags."""
    shown = (public(found, request.script_root, typed=typed) for typed in (False, True))
    check_match(f"/job/{found.id}", chain.from_iterable(map(tags_of, shown)))


def check_change(fields: Mapping[str, object]) -> Callable[[Job], None]:
    """Return the check of a job before these fields of it are changed."""
    check_code = code_check(fields)

    def check(found: Job) -> None:
        check_job(found)
        check_code(found)

    return check


def code_check(fields: Mapping[str, object]) -> Callable[[Job], None]:
    """Return a check that raises `Forbidden` if these fields change what runs as somebody else."""

    def check(found: Job) -> None:
        if not SCRIPT_FIELDS.isdisjoint(fields):
            authorize(actor(), "job.code", found.document)

    return check


@endpoint(
    job,
    "PUT",
    "/job",
    policy="job.create",
    body=JobBody,
    query=DocumentQuery,
    answers={201: JobDocument},
    refusals=(409,),
    headers={201: ("Location",)},
    reads=("Idempotency-Key",),
)
def create_job(body: JobBody, query: DocumentQuery) -> Answer:
    """Create a job with an id generated by the server.

    With the header ``Idempotency-Key`` a repeated request returns the job of the first one.
    """
    key, owner = _idempotency_key(), actor().id
    if key is None:
        return _created(services().jobs.create(body.sent(), owner=owner), query)
    return _created(services().jobs.create_once(key, body.sent(), owner), query)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return key


@endpoint(
    job,
    "PUT",
    "/job/<job_id>",
    policy="job.create",
    body=JobBody,
    query=DocumentQuery,
    answers={201: JobDocument},
    refusals=(409,),
    headers={201: ("Location",)},
)
def create_named_job(job_id: str, body: JobBody, query: DocumentQuery) -> Answer:
    """Create a job with a given id."""
    return _created(services().jobs.create(body.sent(), parse_id(job_id), actor().id), query)


def _created(new: Job, query: DocumentQuery) -> Answer:
    location = url_for("job.read_job", job_id=str(new.id))
    return shown(new, query, 201, Location=location)


@endpoint(
    job,
    "GET",
    "/job/<job_id>",
    policy="job.read",
    query=JobQuery,
    answers={200: JobDocument},
    refusals=(404,),
    headers={200: ("Preference-Applied",)},
    reads=("Prefer",),
)
def read_job(job_id: str, query: JobQuery) -> Answer:
    """Read a job: its state, its times, its result; on request, once it has ended."""
    found = readable(job_id)
    if seconds := query.seconds():
        wait_for_end(found, seconds)
        found = readable(job_id)
    return shown(found, query, 200, **query.applied())


@endpoint(
    job,
    "POST",
    "/job/<job_id>",
    policy="job.change",
    body=JobBody,
    query=DocumentQuery,
    answers={200: JobDocument},
    refusals=(404, 409, 412),
)
def change_job(job_id: str, body: JobBody, query: DocumentQuery) -> Answer:
    """Merge fields into a job that has not been started."""
    edit, fields = services().jobs.edit, body.sent()
    changed = edit(parse_id(job_id), fields, owner_filter(), check_change(fields))
    return shown(changed, query)


@endpoint(
    job,
    "PATCH",
    "/job/<job_id>",
    policy="job.change",
    body=JobPatch,
    query=DocumentQuery,
    answers={200: JobDocument},
    refusals=(404, 409, 412),
)
def patch_job(job_id: str, body: JobPatch, query: DocumentQuery) -> Answer:
    """Merge a patch into a job that has not been started; null removes a field (RFC 7396)."""
    edit, fields, visible = services().jobs.edit, body.sent(), owner_filter()
    check = check_change(fields)
    patched = edit(parse_id(job_id), fields, visible, check, merge=merge_patch)
    return shown(patched, query)


@endpoint(
    job,
    "POST",
    "/job/<job_id>/rerun",
    policy="job.change",
    body=JobBody,
    query=DocumentQuery,
    answers={201: JobDocument},
    refusals=(404, 412),
    headers={201: ("Location",)},
)
def rerun_job(job_id: str, body: JobBody, query: DocumentQuery) -> Answer:
    """Create a copy of a job, to be started; fields in the body replace those of the original."""
    again, fields = services().jobs.create_again, body.sent()
    copy = again(parse_id(job_id), fields, owner_filter(), check_change(fields), kept_options)
    return _created(copy, query)


@endpoint(
    job,
    "DELETE",
    "/job/<job_id>",
    policy="job.delete",
    answers={200: Deleted},
    refusals=(404, 409, 412),
)
def delete_job(job_id: str) -> Answer:
    """Delete a job that is neither queued nor running."""
    services().jobs.delete(parse_id(job_id), owner_filter(), check_job)
    message = f"The job {job_id} was deleted."
    return Answer({"status": 200, "acknowledged": True, "message": message})
