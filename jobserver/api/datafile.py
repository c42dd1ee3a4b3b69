"""``/datafile``, ``/datafiles``: describe, convert, upload, list, delete data files."""

from __future__ import annotations

from io import SEEK_END
from pathlib import PurePath
from typing import IO, Literal

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from jobserver.api.framework.endpoint import Answer, Query, endpoint, refuse_filter
from jobserver.api.framework.identity import actor, own_datafiles, services
from jobserver.api.framework.schemas import (
    AllDeleted,
    DataFileAnswer,
    DataFileList,
    Deleted,
    Uploaded,
)
from jobserver.data.files import check_name
from jobserver.errors import BadRequest, TooLarge
from jobserver.sizes import rounded_size
from jobserver.tables.preview import MEDIA_TYPES, content

datafile = Blueprint("datafile", __name__)
#: Largest multipart framing around an uploaded file.
FORM_OVERHEAD = 64 * 1024
datafiles = Blueprint("datafiles", __name__)


class FormatQuery(Query):
    """The format of a file's content."""

    format: Literal["csv", "json", "html", "txt"] | None = None


@endpoint(
    datafile,
    "GET",
    "/datafile/<path:name>",
    policy="datafile.read",
    query=FormatQuery,
    answers={200: (DataFileAnswer, "text/csv", "text/html", "text/plain")},
    refusals=(404, 415),
)
def read_datafile(name: str, query: FormatQuery) -> Answer | Response:
    """Describe a data file, or return its content in a format."""
    files = own_datafiles()
    if query.format is None:
        return Answer(files.info(name))
    file = files.open(name)
    pieces = content(file, name, query.format)
    shown = f'inline; filename="{PurePath(name).stem}.{query.format}"'
    headers = {"Content-Disposition": shown}
    response = Response(pieces, headers=headers, content_type=MEDIA_TYPES[query.format])
    response.call_on_close(file.close)  # even if it is not read
    return response


@endpoint(
    datafile,
    "PUT POST",
    "/datafile/<path:name>",
    policy="datafile.create",
    upload=True,
    answers={201: Uploaded},
    refusals=(409, 429),
)
def upload_datafile(name: str) -> Answer:
    """Upload a new data file as the field `file` of a multipart form."""
    check_name(name)
    parts = services()
    limit = parts.settings.MAX_UPLOAD_SIZE
    file, files, owner = _sent_file(limit), own_datafiles(), actor().id
    size = file.seek(0, SEEK_END)
    file.seek(0)
    with parts.jobs.quotas.room(owner, name, size, files.sizes):
        stored = files.save(name, file, limit)
    message = f"The data file {name} was stored."
    answer = {"name": name, "path": stored["path"], "status": 201, "message": message}
    return Answer(answer, 201, {"Location": url_for("datafile.read_datafile", name=name)})


def _sent_file(limit: int) -> IO[bytes]:
    request.max_content_length = limit + FORM_OVERHEAD
    try:
        files = request.files.getlist("file")
    except RequestEntityTooLarge as error:
        raise TooLarge(f"The data file is larger than {rounded_size(limit)}.") from error
    if len(files) != 1:
        raise BadRequest("Send one file, in the field 'file' of a multipart/form-data form.")
    return files[0].stream


@endpoint(
    datafile,
    "DELETE",
    "/datafile/<path:name>",
    policy="datafile.delete",
    answers={200: Deleted},
    refusals=(404, 415),
)
def delete_datafile(name: str) -> Answer:
    """Delete a data file."""
    own_datafiles().delete(name)
    message = f"The data file {name} was deleted."
    return Answer({"status": 200, "acknowledged": True, "message": message})


@endpoint(datafiles, "GET", "/datafiles", policy="datafiles.list", answers={200: DataFileList})
def list_datafiles() -> Answer:
    """List all data files."""
    files = [{"type": "datafile", **info} for info in own_datafiles().list()]
    return Answer({"found": len(files), "files": files})


@endpoint(
    datafiles,
    "DELETE",
    "/datafiles",
    policy="datafile.delete",
    answers={200: AllDeleted},
    refusals=(413, 415),
)
def delete_datafiles() -> Answer:
    """Delete all data files, without confirmation."""
    refuse_filter()
    deleted = own_datafiles().delete_all()
    return Answer(
        {
            "status": 200,
            "acknowledged": True,
            "deleted": deleted,
            "total": deleted,
            "message": f"{deleted} data files were deleted.",
        }
    )
