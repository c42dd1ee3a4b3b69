"""The pages of data: data files and stored data, and each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePath

from flask import Response
from pydantic import Field

from jobserver.api.framework.endpoint import Query
from jobserver.api.framework.identity import actor, own_datafiles, services, stored_data
from jobserver.data.files import DataFiles
from jobserver.errors import NotFound
from jobserver.sizes import rounded_size
from jobserver.storage.database import Document
from jobserver.storage.documents import parse_id
from jobserver.web.new import options_editor
from jobserver.web.pages import page, render

PAGE_SIZE = 100

#: Files that browsers show.
_PICTURES = (".jpeg", ".jpg", ".png")


class DataPageQuery(Query):
    """Which data to show."""

    text: str = Field("", max_length=200)
    page: int = Field(1, ge=1, le=100_000)


@page("/data", policy="datafiles.list", query=DataPageQuery)
def show_data(query: DataPageQuery) -> Response:
    """Show the data files and the stored data, each page by page."""
    files, text = own_datafiles(), query.text.strip().casefold()
    names = [name for name in files.sizes() if text in name.casefold()]
    start = (query.page - 1) * PAGE_SIZE
    rows = map(_stored_row, stored_data().list())
    matching = (row for row in rows if text in row["id"].casefold())
    stored = [*islice(matching, start, start + PAGE_SIZE + 1)]
    return render(
        "data.html",
        query=query,
        files=[*_file_rows(files, names[start : start + PAGE_SIZE])],
        found=len(names),
        stored=stored[:PAGE_SIZE],
        has_more=len(names) > start + PAGE_SIZE or len(stored) > PAGE_SIZE,
        usage=_usage(),
    )


def _file_rows(files: DataFiles, names: list[str]) -> Iterator[Document]:
    """Yield what rows show of files; those that were deleted meanwhile have none."""
    for name in names:
        with suppress(NotFound):
            yield _described(files, name)


def _described(files: DataFiles, name: str) -> Document:
    """Return a file's description, and when it was stored."""
    described = files.described(name)
    found = files.open(name)
    found.content.close()
    return {**described, "modified": _aware(found.modified)}


def _stored_row(document: Document) -> Document:
    data_id, datatype = str(document["_id"]), document["datatype"]
    modified = _aware(document.get("edited") or document["created"])
    return {"id": data_id, "datatype": datatype, "modified": modified}


def _aware(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _usage() -> Document | None:
    """Return what the user's data takes of their quota; None without a login."""
    owner = actor().id
    if owner is None:
        return None
    services().recount_storage(owner)
    user = services().accounts.users.get(owner)
    if user is None:
        return None
    quota = user.storage_quota
    return {
        "share": user.stored / quota if quota else None,
        "used": rounded_size(user.stored),
        "quota": rounded_size(quota) if quota else None,
    }


@page("/data/<file:name>", policy="datafile.read", refusals=(404, 415))
def show_one(name: str) -> Response:
    """Show a data file, or stored data by its id, which has no dot."""
    if "." not in name:
        return render("stored.html", row=_stored_row(stored_data().describe(parse_id(name))))
    described = _described(own_datafiles(), name)
    is_picture = PurePath(name).suffix.lower() in _PICTURES
    return render("file.html", file=described, is_picture=is_picture, **options_editor())
