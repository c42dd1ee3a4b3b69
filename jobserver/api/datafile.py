"""``/datafile``, ``/datafiles``: describe, convert, upload, list, delete data files."""

from __future__ import annotations

import json
from functools import partial
from io import SEEK_END
from mimetypes import MimeTypes
from pathlib import PurePath
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, Literal, cast

from flask import Blueprint, Response, request, url_for
from pydantic import Field, field_validator
from werkzeug.exceptions import RequestedRangeNotSatisfiable, RequestEntityTooLarge
from werkzeug.routing import PathConverter
from werkzeug.wsgi import FileWrapper

from jobserver.api.framework.body import Body
from jobserver.api.framework.endpoint import Answer, Query, check_match, endpoint, tags_of
from jobserver.api.framework.headers import disposition
from jobserver.api.framework.identity import actor, client_is_gone, own_datafiles, services
from jobserver.api.framework.schemas import (
    AllDeleted,
    DataFileAnswer,
    DataFileInfo,
    DataFileList,
    Deleted,
    Uploaded,
)
from jobserver.data.files import DataFiles
from jobserver.encoding import read_object
from jobserver.errors import BadRequest, Problem, TooLarge, UnsupportedType
from jobserver.execution.preview import MEDIA_TYPES, Shown, is_as_it_is
from jobserver.sizes import MIB, rounded_size
from jobserver.tables.options import (
    Options,
    TableOptions,
    extension_of,
    option_problems,
    options_of,
)


class FileName(PathConverter):
    """A file's name in a path; slashes and line breaks are refused later, with the reason."""

    regex = r"[^/](?s:.*?)(?<!/content)"


datafile = Blueprint("datafile", __name__)
datafile.record(lambda state: state.app.url_map.converters.update(file=FileName))
#: Largest multipart framing around an uploaded file.
FORM_OVERHEAD = 64 * 1024
#: Header with what the reader of a data file remarked, and the most of its characters.
REMARKS = "X-Remarks"
_LONGEST_HEADER = 4000
_NO_FORMAT = Problem("options", "needs a format")
#: Content of a file of any type; generators of clients know only the second.
_ANY = ("*/*", "application/octet-stream")
#: Headers of a download.
_OF_FILE = ("Content-Disposition", "Last-Modified", "Accept-Ranges")
#: Bytes sent at once.
_PIECE = MIB // 4
#: Media types of packed files.
_PACKED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
datafiles = Blueprint("datafiles", __name__)


class FormatQuery(Query):
    """The format of a file's content."""

    format: Literal["csv", "json", "html", "txt"] | None = Field(
        None, description="Format of the content; without it, the answer describes the file."
    )
    options: str | None = Field(
        None,
        description=(
            "Options of reading as JSON, to try them beside those kept; null leaves out a kept one."
        ),
        examples=['{"separator": ";"}'],
    )

    def table_options(self, name: str, kept: Options) -> Options:
        """Return the options to read a data file with: those kept with it, and those to try."""
        if self.options is None:
            return kept
        if self.format is None:
            raise BadRequest("Options are for a format: add format=json.", [_NO_FORMAT])
        options = {**kept, **_read_options(self.options)}
        if problems := [*option_problems(options, "options.", extension_of(name))]:
            raise BadRequest("The options are invalid.", problems)
        return options_of(options)


def _read_options(text: str) -> Options:
    """Return the options in a query string; `BadRequest` if they are not a JSON object."""
    try:
        return read_object(text.encode(), stored=False, name="The parameter options")
    except BadRequest as error:
        problems = [Problem(f"options.{each.field}", each.problem) for each in error.errors]
        raise BadRequest(
            f'{error.message} Write it as options={{"times": "Date"}}.',
            problems or [Problem("options", "must be a JSON object")],
        ) from error


class DataFileOptions(Body):
    """Options of reading to keep with a data file; an empty object removes them."""

    options: TableOptions = Field(
        description="Options of reading.", examples=[{"separator": ";", "decimal": ","}]
    )

    @field_validator("options", mode="before")
    @classmethod
    def _check(cls, options: object) -> object:
        """Refuse options in the words that jobs are refused in."""
        if not isinstance(options, dict):
            return options
        empty = [name for name, value in options.items() if value is None]
        problems = [Problem(f"options.{name}", "is null: leave it out") for name in empty]
        if problems := [*problems, *option_problems(options, "options.")]:
            raise BadRequest("The options are invalid. Nothing was changed.", problems)
        return options


@endpoint(
    datafile,
    "GET",
    "/datafile/<file:name>",
    policy="datafile.read",
    query=FormatQuery,
    answers={200: (DataFileAnswer, "text/csv", "text/html", "text/plain")},
    refusals=(404, 415),
    headers={200: ("Content-Disposition", REMARKS)},
)
def read_datafile(name: str, query: FormatQuery) -> Answer | Response:
    """Describe a data file, or return its content in a format."""
    files = own_datafiles()
    described = files.described(name)
    options = query.table_options(name, described.get("options", {}))
    if query.format is None:
        return Answer(described)
    shown = _shown(files, name, query.format, options)
    name = disposition("inline", f"{PurePath(name).stem}.{query.format}")
    response = file_response(shown.content, MEDIA_TYPES[query.format], name)
    if shown.remarks:
        response.headers[REMARKS] = _as_header(shown.remarks)
    return response


@endpoint(
    datafile,
    "GET",
    "/datafile/<file:name>/content",
    policy="datafile.read",
    answers={200: _ANY, 206: _ANY},
    refusals=(404, 415, 416),
    headers={200: _OF_FILE, 206: (*_OF_FILE, "ETag", "Content-Range")},
    reads=("Range",),
)
def download_datafile(name: str) -> Response:
    """Download a data file as it is, or a part of it."""
    found = own_datafiles().open(name)
    shown = disposition("attachment", found.name)
    response = file_response(found.content, _media_type(name), shown)
    response.content_length = found.size
    response.headers["Cache-Control"] = "no-cache"
    response.last_modified = found.modified
    response.set_etag(found.tag)
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=found.size)
    except RequestedRangeNotSatisfiable:
        found.content.close()
        raise
    return response


def file_response(content: BinaryIO, media_type: str, shown: str) -> Response:
    """Return a response with the content of a file, which is closed then.

    Parameters
    ----------
    shown : str
        How a browser shows it; see `jobserver.api.framework.headers.disposition`.
    """
    headers = {"Content-Disposition": shown}
    response = Response(FileWrapper(content, _PIECE), headers=headers, content_type=media_type)
    response.call_on_close(content.close)  # even if it is not read
    return response


def _media_type(name: str) -> str:
    """Return a file's media type, the same on every machine."""
    kind, packed = MimeTypes().guess_type(name)
    return (_PACKED.get(packed) if packed else kind) or "application/octet-stream"


def _shown(files: DataFiles, name: str, output_format: str, options: Options) -> Shown:
    """Return a file's content in a format: as it is, or as scripts get it."""
    if is_as_it_is(name, output_format, options):
        return Shown(files.open(name).content, [])
    with files.as_file(name) as path:
        try:
            return services().previews.show(path, output_format, options, client_is_gone())
        except UnsupportedType:
            files.info(name)  # raises NotFound if it was deleted meanwhile
            raise


def _as_header(remarks: list[str]) -> str:
    """Return remarks as a list in JSON: ASCII, and not longer than clients read headers."""
    shown: list[str] = []
    size = 0
    for remark in remarks:
        size += len(json.dumps(remark)) + 2
        if size > _LONGEST_HEADER:
            shown.append(f"{len(remarks) - len(shown)} more are in the log of a job")
            break
        shown.append(remark)
    return json.dumps(shown)


@endpoint(
    datafile,
    "PUT",
    "/datafile/<file:name>",
    policy="datafile.create",
    upload=True,
    answers={201: Uploaded},
    refusals=(409, 429),
    headers={201: ("Location",)},
)
def upload_datafile(name: str) -> Answer:
    """Upload a new data file: as the body, or as the field `file` of a multipart form."""
    parts, files, owner = services(), own_datafiles(), actor().id
    files.check_name(name)
    limit = parts.settings.MAX_UPLOAD_SIZE
    file = _sent_file(limit)
    size = file.seek(0, SEEK_END)
    file.seek(0)
    stored = parts.usage.charge(owner, size, partial(files.save, name, file, limit))
    message = f"The data file {name} was stored."
    answer = {"name": name, "path": stored["path"], "status": 201, "message": message}
    return Answer(answer, 201, {"Location": url_for("datafile.read_datafile", name=name)})


@endpoint(
    datafile,
    "POST",
    "/datafile/<file:name>",
    policy="datafile.create",
    upload=True,
    body=DataFileOptions,
    answers={200: DataFileInfo, 201: Uploaded},
    refusals=(404, 409, 412, 429),
    headers={201: ("Location",)},
)
def change_datafile(name: str, body: DataFileOptions | None) -> Answer:
    """Upload a new data file; or, as JSON, keep options of reading with a file."""
    if body is None:
        return upload_datafile(name)
    options = body.options.model_dump(exclude_none=True)
    files = own_datafiles()
    _check_match(files, name)
    return Answer(files.keep_options(name, options))


def _check_match(files: DataFiles, name: str) -> None:
    """Raise `Changed` if ``If-Match`` is sent and is neither of the file nor of its description."""
    if request.if_match:
        found = files.open(name)
        found.content.close()
        check_match(f"/datafile/{name}", [found.tag, *tags_of(files.described(name))])


def _sent_file(limit: int) -> IO[bytes]:
    request.max_content_length = limit + FORM_OVERHEAD
    try:
        if not request.mimetype.startswith("multipart/"):
            return _sent_body()
        files = request.files.getlist("file")
    except RequestEntityTooLarge as error:
        raise TooLarge(f"The data file is larger than {rounded_size(limit)}.") from error
    if len(files) != 1:
        raise BadRequest("Send one file, in the field 'file' of a multipart/form-data form.")
    return files[0].stream


def _sent_body() -> IO[bytes]:
    """Return the body of the request as a file that can be read twice."""
    body = SpooledTemporaryFile(MIB)  # noqa: SIM115 - as long as the request
    copyfileobj(request.stream, body, _PIECE)
    if not body.tell():
        raise BadRequest(
            "The body is empty. Send the file as the body, as 'curl -T FILE' does, or in the field "
            "'file' of a multipart/form-data form."
        )
    return cast("IO[bytes]", body)


@endpoint(
    datafile,
    "DELETE",
    "/datafile/<file:name>",
    policy="datafile.delete",
    answers={200: Deleted},
    refusals=(404, 412, 415),
)
def delete_datafile(name: str) -> Answer:
    """Delete a data file."""
    files = own_datafiles()
    _check_match(files, name)
    services().usage.release(actor().id, files.delete(name))
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
)
def delete_datafiles() -> Answer:
    """Delete all data files, without confirmation."""
    freed = own_datafiles().delete_all()
    services().usage.release(actor().id, sum(freed))
    deleted = len(freed)
    return Answer(
        {
            "status": 200,
            "acknowledged": True,
            "deleted": deleted,
            "total": deleted,
            "message": f"{deleted} data files were deleted.",
        }
    )
