"""The id of each request, and its line in the log.

The id is in the answer, in each line logged meanwhile, and in the private part of a job that the
request started: so what a run logs leads back to its request.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from jobserver.api.framework.client_address import Network, is_proxy, networks
from jobserver.home.settings import Settings
from jobserver.system.logs import about, current_request, log_request, logs_requests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HEADER = "X-Request-ID"
#: Ids that a proxy may give. Others are replaced, as they could be anything.
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
#: Characters of a path in the log.
_LONGEST = 500


def register(app: Flask, settings: Settings) -> None:
    """Give each request of an app an id, and log it if ``LOG_FORMAT`` is ``json``.

    To be registered before all else that changes answers: what is registered first comes last.
    """
    answer, trusted = app.wsgi_app, networks(settings.TRUSTED_PROXIES)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with about(request=_request_id(environ, trusted)):
            return answer(environ, start_response)

    setattr(app, "wsgi_app", serve)  # noqa: B010 - as Flask says
    app.before_request(_begin)
    app.after_request(_finish)


def _request_id(environ: WSGIEnvironment, trusted: Sequence[Network]) -> str:
    """Return the id that a trusted proxy gave, else a new one."""
    sent = environ.get("HTTP_X_REQUEST_ID", "")
    if _WELL_FORMED.fullmatch(sent) and is_proxy(environ.get("REMOTE_ADDR", ""), trusted):
        return str(sent)
    return secrets.token_hex(8)


def _begin() -> None:
    g.began = time.perf_counter()


def _finish(response: Response) -> Response:
    response.headers[HEADER] = current_request() or ""
    if logs_requests():
        log_request(
            "A request was answered.",
            method=request.method[:_LONGEST],
            path=request.path[:_LONGEST],
            status=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 1),
        )
    return response
