"""Without login, only this machine is served: neither other hosts nor other sites in a browser.

A web page that somebody opens on this machine can send requests here as well. What gives it away is
a ``Host`` that is not ours (a name that was pointed at this machine), or an ``Origin`` or
``Sec-Fetch-Site`` of another site; other servers of this machine are other sites. With login every
host is served. Browsers keep passwords of HTTP Basic and send them along with requests of other
sites, which are refused therefore; tokens they do not know.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from flask import Flask, request

from jobserver.api.services import services
from jobserver.errors import Forbidden
from jobserver.settings import Settings

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
#: Addresses that are remembered: nearly all requests come to the same few.
_ADDRESSES = 64


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
            _refuse_sites(settings)
        return
    ours = LOOPBACK | {_hostname(settings.PUBLIC_URL or "")} - {None}
    if _hostname(f"//{request.host}") not in ours:
        raise Forbidden(
            "Without login this server answers to localhost and 127.0.0.1 only, and to the name in "
            "PUBLIC_URL."
        )
    _refuse_sites(settings)


def _refuse_sites(settings: Settings) -> None:
    """Refuse what a page of another site sent; one at another port of this host is another."""
    origin = request.headers.get("Origin")
    if origin in settings.CORS_ORIGINS:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    if (origin is not None and not _is_ours(origin, settings)) or site == "cross-site":
        raise Forbidden(
            "This server takes no such requests from other web sites, but for those in "
            "CORS_ORIGINS."
        )


@lru_cache(_ADDRESSES)
def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_ours(origin: str, settings: Settings) -> bool:
    """Whether an origin is where the request was sent to, or what the server is known as."""
    here, place = _place(f"//{request.host}"), _place(origin)
    if here is None or place is None:
        return False
    both_local = {here[0], place[0]} <= LOOPBACK and here[1] == place[1]
    return both_local or place in (here, _place(settings.PUBLIC_URL or ""))


@lru_cache(_ADDRESSES)
def _place(address: str) -> tuple[str, int | None] | None:
    """Name and port in an address; None where there is no name."""
    try:
        parts = urlsplit(address)
        return (parts.hostname, parts.port) if parts.hostname else None
    except ValueError:
        return None
