"""The body of every error: ``{"status", "message"}``, and ``errors`` if there are several."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import MapAdapter

from jobserver.encoding import dumps
from jobserver.errors import ApiError, JobNotRunnable, plain

log = logging.getLogger(__name__)

#: Messages of errors that no view raised.
MESSAGES = {
    400: "The request is malformed.",
    404: "There is nothing at this URL. GET /openapi.json lists all endpoints.",
    405: "This URL does not support this method.",
    408: "The request did not arrive in time. Send it again.",
    413: "The body is too large.",
    414: "The URL is too long.",
    416: "The range begins behind the end of the file. The header Content-Range has its size.",
    415: "The content type is not supported.",
    431: "The header of the request is too large.",
    500: "Internal error. The server's log has the details; please report it to its administrator.",
    503: "The server's disk is full. Try again after its administrator has freed some space.",
    501: "This transfer encoding is not supported. Send the body plain or chunked.",
}
_CONVERTER = re.compile(r"<\w+:")
#: What a client prefers that shows messages to people: none of what only programs can follow.
_NO_ADVICE = re.compile(r"(?:^|[,\s])advice=none\b")
#: Characters of a path that is named in a message.
_LONGEST_HINT = 200
#: How a client can authenticate. A browser opens a password box for the first, unless the second
#: is alone.
_BASIC = ("WWW-Authenticate", 'Basic realm="jobserver", charset="UTF-8"')
_BEARER = ("WWW-Authenticate", 'Bearer realm="jobserver"')
#: Headers of requests that scripts of pages send.
_SCRIPT_HEADERS = ("X-Requested-With", "HX-Request")


def register(app: Flask) -> None:
    """Give every error of an app the same body."""
    app.url_map.merge_slashes = False  # a URL with extra slashes is a 404, not a redirect
    app.register_error_handler(ApiError, api_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(OSError, _disk_full)
    app.register_error_handler(Exception, _failure)


def error_body(status: int, message: str, errors: list[dict[str, str]] | None = None) -> bytes:
    """Return the body of an error."""
    content: dict[str, object] = {"status": status, "message": message}
    return dumps(content | ({"errors": errors} if errors else {})) + b"\n"


def api_error(error: ApiError) -> Response:
    """Answer an error as JSON."""
    wording = plain if _NO_ADVICE.search(request.headers.get("Prefer", "")) else str
    problems = [{"field": each.field, "problem": wording(each.problem)} for each in error.errors]
    message = _message(error, wording)
    response = _response(error.status, error_body(error.status, message, problems))
    if error.status == 401:
        response.headers.extend([_BEARER] if _is_from_script() else [_BASIC, _BEARER])
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _is_from_script() -> bool:
    """Whether the script of a page sent the request, and shows the error itself."""
    mode = request.headers.get("Sec-Fetch-Mode")
    return mode in ("cors", "same-origin") or any(map(request.headers.get, _SCRIPT_HEADERS))


def _message(error: ApiError, wording: Callable[[str], str]) -> str:
    """Return the message of an error, with the reason if a job has just one not to run."""
    message = wording(error.message)
    if not isinstance(error, JobNotRunnable) or len(error.errors) != 1:
        return message
    (only,) = error.errors
    problem = wording(only.problem)
    what, stop, then = message.partition(". ")
    what, end = what.rstrip("."), "" if problem.endswith((".", "?")) else "."
    reason = f". {problem}" if problem[:1].isupper() else f": {only.field} {problem}"
    return f"{what}{reason}{end}{stop and ' '}{then}"


def http_error(error: HTTPException) -> Response:
    """Answer an error that no view raised as JSON."""
    status = error.code or 500
    text = MESSAGES.get(status, error.name + ".")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        text = f"{request.method} is not supported here. Use {_uses(error.valid_methods)}."
    elif status == 404 and (meant := _similar_path()):
        text += f" Did you mean {meant}?"
    response = _response(status, error_body(status, text))
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _uses(methods: Iterable[str]) -> str:
    """Describe the methods of the requested URL: ``PUT /job (create a job ...)``.

    If the URL above it has the method of the request, that may be meant.
    """
    urls, found = _urls(), []
    uses = [(method, request.path) for method in sorted({*methods} - {"HEAD", "OPTIONS"})]
    above = request.path.rpartition("/")[0]
    if request.method in urls.allowed_methods(above):
        uses.append((request.method, above))
    for method, path in uses:
        rule, _ = urls.match(path, method, return_rule=True)
        doc = current_app.view_functions[rule.endpoint].__doc__ or ""
        first = doc.strip().split("\n")[0].rstrip(".")
        shown = _CONVERTER.sub("<", rule.rule)
        found.append(f"{method} {shown} ({first[:1].lower()}{first[1:]})")
    return " or ".join(found)


def _similar_path() -> str | None:
    """Return the path that was probably meant: other slashes, or a similar first part."""
    urls = _urls()
    first, *rest = [part for part in request.path.split("/") if part] or [""]
    known = {rule.rule.split("/")[1] for rule in current_app.url_map.iter_rules()}
    for similar in (first, *get_close_matches(first.lower()[:100], known, 3)):
        path = "/" + "/".join([similar, *rest])
        if path != request.path and len(path) <= _LONGEST_HINT and urls.allowed_methods(path):
            return path
    return None


def _urls() -> MapAdapter:
    return current_app.url_map.bind_to_environ(request.environ)


def _disk_full(error: OSError) -> Response:
    """Answer that the disk is full: large requests are buffered in a file."""
    if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
        return _failure(error)
    log.warning("%s %s: %s", request.method, request.path, error)
    response = _response(503, error_body(503, MESSAGES[503]))
    response.headers["Retry-After"] = "60"
    return response


def _failure(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _response(500, error_body(500, MESSAGES[500]))


def _response(status: int, body: bytes) -> Response:
    return Response(body, status, mimetype="application/json")
