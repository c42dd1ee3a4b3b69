"""``/jobs``: many jobs: list, search, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain, islice
from typing import ClassVar, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field

from jobserver.api.framework.body import JSON, Body
from jobserver.api.framework.endpoint import (
    Answer,
    DocumentQuery,
    endpoint,
    wants_strings,
)
from jobserver.api.framework.identity import actor, owner_filter, services
from jobserver.api.framework.schemas import AllDeleted, Cancelled, JobList
from jobserver.api.job import public
from jobserver.encoding import dumps, stringify
from jobserver.errors import BadRequest, Conflict, InvalidId, NotFound, Problem
from jobserver.jobs.job import ACTIVE, PRIVATE, Job, State
from jobserver.jobs.listing import Cursor, Selection, all_of
from jobserver.sizes import KIB
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER, parse_id
from jobserver.storage.filters import compile_filter, is_field

jobs = Blueprint("jobs", __name__)

LARGEST_PAGE = 1000
#: Bytes of a list that are sent at once, plus one job at most.
_PART_SIZE = 64 * KIB
#: Fields without subfields, which every list needs.
_SCALARS = ("_id", "created")
_CURSOR_SEPARATOR = "~"


class Filter(Body):
    """A filter on fields of jobs, in MongoDB's syntax."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"state": "finished", "time_sec": {"$gt": 1}}]},
    )
    is_stored: ClassVar[bool] = False


class JobsQuery(DocumentQuery):
    """Which jobs to list, and how."""

    limit: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST_PAGE,
        description="Jobs on a page; if absent, all.",
        examples=[100],
    )
    after: str | None = Field(
        default=None, description="Where the page starts: taken from `next` of the previous one."
    )
    fields: str | None = Field(
        default=None,
        min_length=1,
        description="Fields of each job to return, separated by commas.",
        examples=["state,result.value.mean"],
    )
    sort: Literal["created", "-created"] = Field(
        default="created", description="`created` for the oldest first, `-created` for the newest."
    )
    state: State | None = Field(default=None, description="Only jobs in this state.")
    script: str | None = Field(
        default=None, description="Only jobs with this script.", examples=["summary"]
    )


@endpoint(
    jobs,
    "GET",
    "/jobs",
    policy="jobs.list",
    query=JobsQuery,
    answers={200: JobList},
    headers={200: ("Link",)},
)
def list_jobs(query: JobsQuery) -> Answer | Response:
    """List all jobs, oldest first."""
    return _listed({}, query)


@endpoint(
    jobs,
    "POST",
    "/jobs",
    policy="jobs.list",
    body=Filter,
    query=JobsQuery,
    answers={200: JobList},
    headers={200: ("Link",)},
)
def search_jobs(body: Filter, query: JobsQuery) -> Answer | Response:
    """List the jobs that match a filter, oldest first."""
    return _listed(_compiled(body), query)


@endpoint(
    jobs,
    "DELETE",
    "/jobs",
    policy="jobs.delete",
    answers={200: AllDeleted},
)
def delete_jobs() -> Answer:
    """Delete all jobs except those queued or running."""
    deleted, total = services().jobs.delete_all(actor().id)
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


@endpoint(
    jobs,
    "POST",
    "/jobs/cancel",
    policy="jobs.cancel",
    body=Filter,
    answers={200: Cancelled},
)
def cancel_jobs(body: Filter) -> Answer:
    """Cancel the queued and running jobs that match a filter: all of them if it is `{}`."""
    if request.mimetype != JSON:  # nothing was sent
        raise BadRequest("Send a filter of the jobs to cancel as JSON: {} cancels all of them.")
    parts, visible = services(), owner_filter()
    active = {"state": {"$in": [state.value for state in ACTIVE]}}
    selection = Selection(all_of((active, _compiled(body))), ("state",), owner=visible.get(OWNER))
    cancelled = 0
    for job in [*parts.listing.read(selection)]:
        with suppress(Conflict, NotFound):  # it has just ended
            parts.executor.cancel(job.id, visible)
            cancelled += 1
    message = f"{cancelled} jobs were cancelled."
    return Answer({"status": 200, "cancelled": cancelled, "message": message})


def _compiled(body: Filter) -> Document:
    return compile_filter(body.sent(), choices={"state": [state.value for state in State]})


def _listed(matching: Document, query: JobsQuery) -> Answer | Response:
    selected = all_of((matching, *conditions_of(query.state, query.script)))
    newest_first, owner = query.sort.startswith("-"), owner_filter().get(OWNER)
    selection = Selection(selected, _fields(query), newest_first, owner)
    after = read_cursor(query.after)
    if query.limit:
        return _page(selection, query, query.limit, after)
    found = services().listing.read(selection, after)
    # Read the first job before the answer starts, while it can still be an error.
    documents = _shown(chain(list(islice(found, 1)), found), selection.fields, request.script_root)
    return Response(_stream(documents, wants_strings(query)), mimetype="application/json")


def conditions_of(state: State | None, script: str | None) -> Iterator[Document]:
    """Yield the conditions of a job in a state, if any, with a script, if any."""
    if state:
        yield {"state": state.value}
    if script:
        yield {"$or": [{"script_name": script}, {"script.name": script}]}


def _fields(query: JobsQuery) -> tuple[str, ...]:
    """Return the fields that the query names, separated by commas."""
    names = tuple(name.strip() for name in (query.fields or "").split(",") if name.strip())
    names = tuple(name for name in names if not _is_inside(name, names))
    wrong = [name for name in names if not _is_field(name)]
    if wrong or (query.fields and not names):
        problems = [Problem("fields", f"{name!r} is not a field") for name in wrong or [""]]
        raise BadRequest("List fields of a job, separated by commas.", problems)
    return names


def _is_inside(name: str, others: Iterable[str]) -> bool:
    """Whether a name is inside another: the database accepts only one of them."""
    return any(name.startswith(f"{other}.") for other in others)


def _is_field(name: str) -> bool:
    top = name.partition(".")[0]
    return is_field(name) and top != PRIVATE and (top not in _SCALARS or top == name)


def _shown(found: Iterable[Job], fields: tuple[str, ...], root: str) -> Iterator[Document]:
    """Yield jobs as answers show them; `created` was read only for the order."""
    for each in found:
        shown = public(each, root)
        if fields and "created" not in fields:
            del shown["created"]
        yield shown


def _page(selection: Selection, query: JobsQuery, limit: int, after: Cursor | None) -> Answer:
    """Return a page of jobs, the total number, and a link to the next page."""
    listing, strings = services().listing, wants_strings(query)
    jobs, cursor = listing.page(selection, limit, after)
    total = listing.count(selection)
    shown = _shown(jobs, selection.fields, request.script_root)
    content: Document = {"found": len(jobs) + bool(cursor) if total is None else total}
    content |= {"found_at_least": True} if total is None else {}
    content["jobs"] = list(map(stringify, shown) if strings else shown)
    if cursor is None:
        return Answer(content)
    link = link_after(cursor)
    return Answer({**content, "next": link}, headers={"Link": f'<{link}>; rel="next"'})


def link_after(cursor: Cursor, path: str = "") -> str:
    """Return the URL of the next page: of the requested path, or of another."""
    created, job_id = cursor
    arguments = request.args.to_dict()
    arguments["after"] = f"{created.isoformat()}{_CURSOR_SEPARATOR}{job_id}"
    return f"{request.script_root}{path or request.path}?{urlencode(arguments)}"


def read_cursor(text: str | None) -> Cursor | None:
    """Return where a page starts, from a link to it; None without one."""
    if not text:
        return None
    created, _, job_id = text.partition(_CURSOR_SEPARATOR)
    try:
        return datetime.fromisoformat(created).replace(tzinfo=None), parse_id(job_id)
    except (ValueError, InvalidId) as error:
        raise BadRequest("Invalid 'after'. Take it from 'next' of the previous page.") from error


def _stream(documents: Iterable[Document], strings: bool) -> Iterator[bytes]:
    """Yield the list as JSON, part by part, in constant memory."""
    found, part = 0, bytearray(b'{"jobs":[')
    for found, document in enumerate(documents, 1):
        part += (b"," if found > 1 else b"") + dumps(document, strings=strings)
        if len(part) > _PART_SIZE:
            yield bytes(part)
            part.clear()
    yield bytes(part) + b'],"found":%d}' % found
