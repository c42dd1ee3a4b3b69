"""The page of all jobs, which is also what a browser gets at ``/``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from flask import Response
from pydantic import BeforeValidator, Field

from jobserver.api.framework import schemas
from jobserver.api.framework.endpoint import Answer, Query, endpoint
from jobserver.api.framework.identity import actor, own_datafiles, owner_filter, services
from jobserver.api.info import about, info
from jobserver.api.jobs import conditions_of, link_after, read_cursor
from jobserver.errors import ApiError, NotFound, UnsupportedType
from jobserver.jobs.job import ACTIVE, Job, State
from jobserver.jobs.listing import Selection, all_of
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER
from jobserver.users.policy import authorize
from jobserver.web.pages import ROOT, page, prefers_html, refused, render

PAGE_SIZE = 50
#: What a row shows; large results are not read for it.
_FIELDS = (
    *("state", "script_name", "script.name", "script.type", "datafile", "data.name", "data.type"),
    *("created", "started", "finished", "time_sec", "progress", "message"),
)
#: Where a text is looked for; an id must be whole.
_TEXT_FIELDS = ("script_name", "script.name", "datafile", "data.name", "message", "description")


def _none_if_empty(value: object) -> object:
    return value or None


class JobsPageQuery(Query):
    """Which jobs to show. Fields of a form that are empty do not count."""

    state: Annotated[State | None, BeforeValidator(_none_if_empty)] = None
    script: str = Field(default="", max_length=200)
    text: str = Field(default="", max_length=200)
    since: Annotated[date | None, BeforeValidator(_none_if_empty)] = None
    until: Annotated[date | None, BeforeValidator(_none_if_empty)] = None
    after: str | None = None

    def conditions(self) -> Iterator[Document]:
        """Yield the conditions that a job must meet."""
        yield from conditions_of(self.state, self.script.strip())
        if text := self.text.strip():
            part = {"$regex": re.escape(text), "$options": "i"}
            yield {"$or": [{"_id": text}, *({name: part} for name in _TEXT_FIELDS)]}
        if self.since:
            yield {"created": {"$gte": datetime.combine(self.since, datetime.min.time())}}
        if self.until and self.until < date.max:
            day_after = self.until + timedelta(days=1)
            yield {"created": {"$lt": datetime.combine(day_after, datetime.min.time())}}


@endpoint(
    info,
    "GET",
    "/",
    policy="info",
    answers={200: (schemas.Info, "text/html")},
    headers={303: ("Location",)},
)
def index() -> Answer | Response:
    """Return the server's name and version; a browser gets the page of all jobs."""
    if not prefers_html():
        return Answer(about(), headers={"Vary": "Accept"})
    try:
        authorize(actor(), "jobs.list")
        response = show_jobs(JobsPageQuery())
    except ApiError as error:
        response = refused(error)
    response.vary.add("Accept")
    return response


@page("/jobs", policy="jobs.list", query=JobsPageQuery)
def show_jobs(query: JobsPageQuery) -> Response:
    """Show the newest jobs that match."""
    conditions = [*query.conditions()]
    owner = owner_filter().get(OWNER)
    selection = Selection(all_of(conditions), _FIELDS, newest_first=True, owner=owner)
    listing = services().listing
    jobs, cursor = listing.page(selection, PAGE_SIZE, read_cursor(query.after))
    return render(
        "jobs.html",
        jobs=[*map(_row, jobs)],
        found=listing.count(selection),
        is_filtered=bool(conditions),
        has_sample=not jobs and _has_sample(),
        query=query,
        states=[*State],
        scripts=sorted({script["name"] for script in services().scripts.describe()["scripts"]}),
        next=link_after(cursor, f"{ROOT}/jobs") if cursor else None,
    )


def _has_sample() -> bool:
    """Whether the visitor has the data file that a new home begins with."""
    with suppress(NotFound, UnsupportedType):
        own_datafiles().info("timeseries.csv")
        return True
    return False


def _row(job: Job) -> Document:
    """Return what a row of the table shows."""
    content = job.public()
    script, data = content.get("script"), content.get("data")
    return {
        "id": str(job.id),
        "state": job.state.value,
        "is_active": job.state in ACTIVE,
        "script": _name(script) or content.get("script_name") or "",
        "data": content.get("datafile") or _name(data) or "",
        "created": job.created.replace(tzinfo=UTC),
        "seconds": content.get("time_sec"),
        "progress": content.get("progress"),
        "message": content.get("message") or "",
    }


def _name(part: object) -> str:
    """Return the name of a script or of data, or their type if they have no name."""
    if not isinstance(part, dict):
        return ""
    return str(part.get("name") or part.get("type") or "")
