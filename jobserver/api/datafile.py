"""``/datafile``, ``/datafiles``: describe, convert, upload, list, delete data files."""

from __future__ import annotations

from collections.abc import Iterator
from io import SEEK_END
from pathlib import PurePath
from typing import IO, Any, BinaryIO, Literal

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from jobserver.api.framework.endpoint import Answer, Query, endpoint, refuse_filter
from jobserver.api.framework.identity import actor, own_datafiles, services
from jobserver.api.framework.schemas import (
    AllDeleted,
    DataFileAnswer,
    DataFileInfo,
    DataFileList,
    DataFileOptions,
    Deleted,
    Uploaded,
)
from jobserver.data.files import DataFiles
from jobserver.errors import BadRequest, Problem, TooLarge
from jobserver.execution.preview import MEDIA_TYPES, is_as_it_is, show
from jobserver.sizes import MIB, rounded_size

datafile = Blueprint("datafile", __name__)
#: Largest multipart framing around an uploaded file.
FORM_OVERHEAD = 64 * 1024
#: Bytes sent at once.
_PIECE = MIB // 4
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
        return Answer(files.described(name))
    content = _content(files, name, query.format)
    shown = f'inline; filename="{PurePath(name).stem}.{query.format}"'
    headers = {"Content-Disposition": shown}
    response = Response(_pieces(content), headers=headers, content_type=MEDIA_TYPES[query.format])
    response.call_on_close(content.close)  # even if it is not read
    return response


def _content(files: DataFiles, name: str, output_format: str) -> BinaryIO:
    """Return a file's content in a format: as it is, or as scripts get it."""
    options = files.described(name).get("options", {})
    if is_as_it_is(name, output_format, options):
        return files.open(name)
    with files.as_file(name) as path:
        return show(path, output_format, options, services().settings.JOB_MEMORY_LIMIT)


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while piece := content.read(_PIECE):
        yield piece


@endpoint(
    datafile,
    "PUT",
    "/datafile/<path:name>",
    policy="datafile.create",
    upload=True,
    answers={201: Uploaded},
    refusals=(409, 429),
)
def upload_datafile(name: str) -> Answer:
    """Upload a new data file as the field `file` of a multipart form."""
    parts, files, owner = services(), own_datafiles(), actor().id
    files.check_name(name)
    limit = parts.settings.MAX_UPLOAD_SIZE
    file = _sent_file(limit)
    size = file.seek(0, SEEK_END)
    file.seek(0)
    with parts.jobs.quotas.room(owner, name, size, files.sizes):
        stored = files.save(name, file, limit)
    message = f"The data file {name} was stored."
    answer = {"name": name, "path": stored["path"], "status": 201, "message": message}
    return Answer(answer, 201, {"Location": url_for("datafile.read_datafile", name=name)})


@endpoint(
    datafile,
    "POST",
    "/datafile/<path:name>",
    policy="datafile.create",
    upload=True,
    body=DataFileOptions,
    answers={200: DataFileInfo, 201: Uploaded},
    refusals=(404, 409, 429),
)
def change_datafile(name: str, body: dict[str, Any] | None) -> Answer:
    """Upload a new data file; or, as JSON, keep options of reading with a file."""
    if body is None:
        return upload_datafile(name)
    unknown = [Problem(name, "is unknown") for name in body if name != "options"]
    if unknown or not isinstance(body.get("options"), dict):
        raise BadRequest('Send {"options": {...}}, and nothing else, as JSON.', unknown)
    return Answer(own_datafiles().keep_options(name, body["options"]))


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
