"""One body for every error: ``{"status", "message"}``, and ``errors`` where there are several."""

from __future__ import annotations

import errno
import logging
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from jobserver.encoding import dumps
from jobserver.errors import ApiError

log = logging.getLogger(__name__)

#: What is told where no view knows better.
MESSAGES = {
    400: "The request is malformed.",
    404: "There is nothing at this address. GET /openapi.json lists what there is.",
    405: "This address does not take that method; the header Allow names those it takes.",
    408: "The request did not arrive in time. Send it again.",
    413: "The body is too large.",
    414: "The address is too long.",
    415: "The content type is not understood.",
    431: "The head of the request is too large.",
    500: "The server failed. The failure is in its log; please tell its administrator.",
    503: "The server's disk is full. Try again when its administrator has made room.",
    501: "This transfer encoding is not understood; send the body plain or chunked.",
}


#: How a client may tell who it is.
_ASKS = [
    ("WWW-Authenticate", 'Basic realm="jobserver", charset="UTF-8"'),
    ("WWW-Authenticate", 'Bearer realm="jobserver"'),
]


def register(app: Flask) -> None:
    """Answer every error of an app in the one shape."""
    app.url_map.merge_slashes = False  # an address with too many is wrong, not to be redirected
    app.register_error_handler(ApiError, _refusal)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(OSError, _no_room)
    app.register_error_handler(Exception, _failure)


def error_body(status: int, message: str, errors: list[dict[str, str]] | None = None) -> bytes:
    """The body of an error answer."""
    content: dict[str, Any] = {"status": status, "message": message}
    return dumps(content | ({"errors": errors} if errors else {})) + b"\n"


def _refusal(refusal: ApiError) -> Response:
    problems = [{"field": entry.field, "problem": entry.problem} for entry in refusal.errors]
    response = _response(refusal.status, error_body(refusal.status, refusal.message, problems))
    if refusal.status == 401:
        response.headers.extend(_ASKS)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    response = _response(status, error_body(status, MESSAGES.get(status, error.name + ".")))
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _no_room(error: OSError) -> Response:
    """A large request waits in a file, for which there has to be room."""
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
