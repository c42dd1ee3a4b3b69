"""Without login, only this machine is served: neither other hosts nor other sites in a browser.

A web page that somebody opens on this machine can send requests here as well. What gives it away is
a ``Host`` that is not ours (a name that was pointed at this machine), or an ``Origin`` or
``Sec-Fetch-Site`` of another site. With login every host is served. Browsers keep passwords of HTTP
Basic and send them along with requests of other sites, which are refused therefore; tokens they do
not know.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from flask import Flask, request

from jobserver.api.services import services
from jobserver.errors import Forbidden

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def register(app: Flask) -> None:
    """Look at every request of an app before it is served."""
    app.before_request(refuse_foreign)


def refuse_foreign() -> None:
    """Refuse a request that does not come from this machine itself.

    Raises
    ------
    Forbidden
        If its host or its origin is foreign.
    """
    settings = services().settings
    if settings.LOGIN_REQUIRED:
        if request.authorization is not None and request.authorization.type == "basic":
            here = {_hostname(f"//{request.host}"), _hostname(settings.PUBLIC_URL or "")} - {None}
            _refuse_sites(here, settings.CORS_ORIGINS)
        return
    ours = LOOPBACK | {_hostname(settings.PUBLIC_URL or "")} - {None}
    if _hostname(f"//{request.host}") not in ours:
        raise Forbidden(
            "Without login this server answers to localhost and 127.0.0.1 only, and to the name in "
            "PUBLIC_URL."
        )
    _refuse_sites(ours, settings.CORS_ORIGINS)


def _refuse_sites(ours: Collection[str | None], known: Collection[str]) -> None:
    """Refuse what a page of another site sent."""
    origin = request.headers.get("Origin")
    if origin in known:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    if (origin is not None and _hostname(origin) not in ours) or site == "cross-site":
        raise Forbidden("This server takes no such requests from other web sites.")


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
