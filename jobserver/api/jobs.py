"""``/jobs``: many jobs: list, search, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from bson import ObjectId
from flask import Blueprint, Response, request
from pydantic import Field

from jobserver.api.endpoint import (
    Answer,
    DocumentQuery,
    endpoint,
    refuse_filter,
    wants_strings,
)
from jobserver.api.identity import actor, mine
from jobserver.api.rendered import Cache, Key, Rendered
from jobserver.api.schemas import AllDeleted, Filter, JobList
from jobserver.api.services import services
from jobserver.database import Document
from jobserver.encoding import dumps, stringify
from jobserver.errors import BadRequest, InvalidId, Problem
from jobserver.filters import compile_filter
from jobserver.models.job import OWNER, PRIVATE, State, parse_id, public
from jobserver.models.listing import Listing, Place, Selection
from jobserver.models.shelves import Shelf
from jobserver.sizes import MIB

jobs = Blueprint("jobs", __name__)

LARGEST_PAGE = 1000
#: Bytes of a list that are written at once, and one job more.
LARGEST_PART = 2 * MIB
_PLACE_SEPARATOR = "~"


class JobsQuery(DocumentQuery):
    """Which jobs to list, and how."""

    limit: Annotated[int | None, Field(ge=1, le=LARGEST_PAGE)] = None
    after: str | None = None
    fields: Annotated[str | None, Field(min_length=1)] = None
    sort: Literal["created", "-created"] = "created"
    state: State | None = None
    script: str | None = None


@endpoint(
    jobs,
    "GET",
    "/jobs",
    policy="jobs.list",
    query=JobsQuery,
    answers={200: JobList},
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
)
def search_jobs(body: dict[str, Any], query: JobsQuery) -> Answer | Response:
    """List the jobs that match a filter, oldest first."""
    return _listed(compile_filter(body), query)


@endpoint(
    jobs,
    "DELETE",
    "/jobs",
    policy="jobs.delete",
    answers={200: AllDeleted},
    refusals=(413, 415),
)
def delete_jobs() -> Answer:
    """Delete all jobs but those queued or running."""
    refuse_filter()
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


def _listed(matching: Document, query: JobsQuery) -> Answer | Response:
    conditions = [entry for entry in (matching, *_conditions(query)) if entry]
    selected = {"$and": conditions} if len(conditions) > 1 else dict(*conditions)
    selection = Selection(selected, _fields(query), query.sort.startswith("-"))
    after = _read_place(query.after) if query.after else None
    if query.limit:
        return _page(selection, query, query.limit, after)
    found = services().jobs.shelves.of(_whose()).listing.read(selection, after)
    if not selection.query and not selection.fields and not selection.newest_first and not after:
        return _all(wants_strings(query))
    # Asked for before the answer begins, while it can still be a refusal.
    documents = _shown(chain(list(islice(found, 1)), found), selection.fields)
    return Response(_stream(documents, wants_strings(query)), mimetype="application/json")


def _conditions(query: JobsQuery) -> Iterator[Document]:
    if query.state:
        yield {"state": query.state.value}
    if query.script:
        yield {"$or": [{"script_name": query.script}, {"script.name": query.script}]}


def _fields(query: JobsQuery) -> tuple[str, ...]:
    """The fields to give, as the query names them: separated by commas."""
    names = tuple(name.strip() for name in (query.fields or "").split(",") if name.strip())
    names = tuple(name for name in names if not _is_inside(name, names))
    wrong = [name for name in names if not _is_field(name)]
    if wrong or (query.fields and not names):
        problems = [Problem("fields", f"{name!r} is no field") for name in wrong or [""]]
        raise BadRequest("Name the fields of a job, separated by commas.", problems)
    return names


def _is_inside(name: str, others: Iterable[str]) -> bool:
    """Whether another name holds this one: the database takes only one of them."""
    return any(name.startswith(f"{other}.") for other in others)


def _is_field(name: str) -> bool:
    parts = name.split(".")
    named = all(part and not part.startswith("$") and "\0" not in part for part in parts)
    return named and parts[0] != PRIVATE and (name == "created" or parts[0] != "created")


def _shown(documents: Iterable[Document], fields: tuple[str, ...]) -> Iterator[Document]:
    """Jobs as they are answered; the time of creation was read for their order."""
    for document in documents:
        shown = public(document)
        if fields and "created" not in fields:
            del shown["created"]
        yield shown


def _page(selection: Selection, query: JobsQuery, limit: int, after: Place | None) -> Answer:
    """Some jobs, how many there are in all, and a link to those that follow."""
    parts, strings = services(), wants_strings(query)
    found, place = parts.jobs.shelves.of(_whose()).listing.page(selection, limit, after)
    total = parts.jobs.count(selection.query, _whose())
    shown = _shown(found, selection.fields)
    content: Document = {"found": total, "jobs": list(map(stringify, shown) if strings else shown)}
    return Answer(content | ({"next": _link(place)} if place else {}))


def _whose() -> ObjectId | None:
    """Whose jobs are listed; None for everybody's."""
    return mine().get(OWNER)


def _all(strings: bool) -> Response:
    """All jobs, with what was written before where nothing changed."""
    parts = services()
    parts.rendered.look()
    pieces = _windows(parts.jobs.shelves.of(_whose()), parts.rendered, strings)
    return Response(pieces, mimetype="application/json")


def _windows(shelf: Shelf, cache: Cache, strings: bool) -> Iterator[bytes]:
    found = 0
    yield b'{"jobs":['
    for window in shelf.listing.windows():
        for part in _window((shelf.owner, window, strings), shelf.listing, cache):
            yield (b"," if found else b"") + part.text
            found += part.jobs
    yield b'],"found":%d}' % found


def _window(key: Key, listing: Listing, cache: Cache) -> Iterator[Rendered]:
    """The jobs of a window, as they were written before; in parts, and anew, where that is much."""
    if kept := cache.get(key):
        yield from (kept,) if kept.jobs else ()
        return
    texts: list[bytes] = []
    size, is_whole = 0, True
    for job in listing.window(key[1]):
        if size > LARGEST_PART:
            yield Rendered(len(texts), b",".join(texts))
            texts, size, is_whole = [], 0, False
        texts.append(dumps(public(job), strings=key[2]))
        size += len(texts[-1])
    rest = Rendered(len(texts), b",".join(texts))
    if is_whole:
        cache.put(key, rest)
    yield from (rest,) if rest.jobs else ()


def _link(place: Place) -> str:
    """The address of the next page."""
    created, job_id = place
    arguments = request.args.to_dict()
    arguments["after"] = f"{created.isoformat()}{_PLACE_SEPARATOR}{job_id}"
    return f"{request.path}?{urlencode(arguments)}"


def _read_place(text: str) -> Place:
    created, _, job_id = text.partition(_PLACE_SEPARATOR)
    try:
        return datetime.fromisoformat(created).replace(tzinfo=None), parse_id(job_id)
    except (ValueError, InvalidId) as error:
        raise BadRequest("'after' is wrong. Take it from 'next' of the page before.") from error


def _stream(documents: Iterable[Document], strings: bool) -> Iterator[bytes]:
    """The list as JSON, job by job: its size never matters."""
    found = 0
    yield b'{"jobs":['
    for found, document in enumerate(documents, 1):
        yield (b"," if found > 1 else b"") + dumps(document, strings=strings)
    yield b'],"found":%d}' % found
