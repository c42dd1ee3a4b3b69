"""The requests by which Google App Engine starts, checks and stops an instance."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIEnvironment

from jobserver.encoding import dumps

if TYPE_CHECKING:
    from jobserver.server.server import Server

_HEALTH, _STOP = ("/_ah/start", "/_ah/health"), "/_ah/stop"
#: Who sent a request. App Engine sets it, and removes what a client sends under this name.
_SENDER = "HTTP_X_APPENGINE_USER_IP"
#: The senders within App Engine; no client on the internet has such an address.
_INTERNAL = re.compile(r"0\.1\.0\.\d+", re.ASCII)


class AppEngine:
    """A WSGI application that also does what App Engine asks of an instance.

    ``/_ah/start`` and ``/_ah/health`` are ``/health``: the instance gets requests once it has
    answered the first. ``/_ah/stop`` starts no more runs, and interrupts those that go on after
    `SHUTDOWN_GRACE`. For anyone but App Engine it does not exist.

    Parameters
    ----------
    home : Server
        An open home.
    """

    def __init__(self, home: Server) -> None:
        self._home = home

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        sender = environ.get(_SENDER, "")
        path = environ["PATH_INFO"]
        if path == _STOP and _INTERNAL.fullmatch(sender):
            return self._stop(start_response)
        if sender:  # the connection is from a proxy on this machine
            environ["REMOTE_ADDR"] = sender
        if path in _HEALTH:
            environ["PATH_INFO"] = "/health"
        environ["jobserver.collected"] = True  # it sends responses on when they are complete
        return self._home.app(environ, start_response)

    def _stop(self, start_response: StartResponse) -> Iterable[bytes]:
        self._home.drain()
        body = dumps({"status": HTTPStatus.OK, "message": "No job runs here any more."})
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK", headers)
        return [body]
