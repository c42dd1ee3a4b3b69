"""Without login, serve only this machine: no other hosts, and no other sites in a browser.

A web page opened on this machine can send requests here too. It shows in a ``Host`` that is not
ours (DNS rebinding), or in an ``Origin`` or ``Sec-Fetch-Site`` of another site; other servers on
this machine count as other sites. With login, every host is served. Browsers store passwords of
HTTP Basic and the cookies of pages, and add them to requests from other sites, so these are
refused; tokens they do not send. Links of other sites may lead to pages: reading one changes
nothing, and the other site cannot see it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Flask, Response, request

from jobserver.api.framework.identity import services, session_token
from jobserver.errors import Forbidden, SettingsError
from jobserver.home.settings import Settings

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
#: Cached addresses: nearly all requests use the same few.
_ADDRESSES = 64
#: Methods allowed for an unknown path, so that the page can read the 404.
_METHODS = {"DELETE", "GET", "PATCH", "POST", "PUT"}
#: Values of ``Sec-Fetch-Site`` for requests of our own pages, and those without a page.
_OWN_SITES = ("same-origin", "none")
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "Prefer, Range"
)
#: Blueprints of pages, which links of other sites may lead to.
_PAGES = ("pages", "web")
_EXPOSED_HEADERS = (
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Location, "
    "Preference-Applied, Retry-After, WWW-Authenticate, X-Remarks, X-Request-ID"
)
#: Seconds a browser may cache a preflight; none caches it longer than two hours.
_MAX_AGE = "7200"


class _Origin(NamedTuple):
    scheme: str
    hostname: str
    port: int | None


def check_host(host: str, settings: Settings) -> None:
    """Raise `SettingsError` if a server without login would listen beyond this machine."""
    if host not in LOOPBACK and not settings.LOGIN_REQUIRED:
        raise SettingsError(
            f"Without login (LOGIN_REQUIRED) the server only listens on this machine, not on "
            f"{host}. Set LOGIN_REQUIRED = True in config.py, or listen on 127.0.0.1."
        )


def register(app: Flask) -> None:
    """Check every request of an app."""
    app.before_request(refuse_foreign)


def refuse_foreign() -> None:
    """Refuse requests for another host or from another site.

    Raises
    ------
    Forbidden
        If the host or the origin is not ours.
    """
    settings = services().settings
    if not settings.LOGIN_REQUIRED:
        _check_host(settings)
    if _opens_page():
        return
    if session_token() or request.blueprint == "pages":
        if _is_foreign(settings, ()):
            raise Forbidden(
                "This server refuses requests with the login of its pages from other web sites. "
                "Send a token in the header Authorization."
            )
    elif (not settings.LOGIN_REQUIRED or _has_password()) and _is_foreign(
        settings, settings.CORS_ORIGINS
    ):
        raise Forbidden(
            "This server refuses such requests from other web sites, except those in CORS_ORIGINS."
        )


def _check_host(settings: Settings) -> None:
    ours = LOOPBACK | {_hostname(settings.PUBLIC_URL or "")} - {None}
    if _hostname(f"//{request.host}") not in ours:
        raise Forbidden(
            "Without login this server only accepts requests to localhost, 127.0.0.1 or the host "
            "in PUBLIC_URL."
        )


def _opens_page() -> bool:
    """Whether the request only reads a page, which a link of another site may lead to."""
    return request.method in ("GET", "HEAD") and (
        request.blueprint in _PAGES or (request.path == "/" and _is_navigation())
    )


def _is_navigation() -> bool:
    return request.headers.get("Sec-Fetch-Mode") == "navigate"


def _has_password() -> bool:
    return request.authorization is not None and request.authorization.type == "basic"


def _is_foreign(settings: Settings, allowed: Collection[str]) -> bool:
    """Whether a page of another site sent the request; other ports of this host are others, too."""
    origin = request.headers.get("Origin")
    if origin in allowed:
        return False
    site = request.headers.get("Sec-Fetch-Site", "none")
    return (origin is not None and not _is_ours(origin, settings)) or site not in _OWN_SITES


@lru_cache(_ADDRESSES)
def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_ours(origin: str, settings: Settings) -> bool:
    """Whether an origin is that of the request, or of ``PUBLIC_URL``.

    The scheme is as a proxy reports it, whoever that is: pages cannot send that header.
    """
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    ours, theirs = _parts(f"{scheme}://{request.host}"), _parts(origin)
    if ours is None or theirs is None:
        return False
    both_local = {ours.hostname, theirs.hostname} <= LOOPBACK
    if both_local and (ours.scheme, ours.port) == (theirs.scheme, theirs.port):
        return True
    return theirs in (ours, _parts(settings.PUBLIC_URL or ""))


@lru_cache(_ADDRESSES)
def _parts(address: str) -> _Origin | None:
    """Return scheme, host and port of an address; None if it has no host."""
    try:
        parts = urlsplit(address)
        return _Origin(parts.scheme, parts.hostname, parts.port) if parts.hostname else None
    except ValueError:
        return None


def register_cors(app: Flask, settings: Settings) -> None:
    """Answer preflight requests, and let pages of ``CORS_ORIGINS`` read answers."""
    origins = frozenset(settings.CORS_ORIGINS)
    if not origins:
        return

    def answer_preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or not _is_listed():
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        methods = {*app.url_map.bind("").allowed_methods(request.path)} or _METHODS
        response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
        response.headers["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = _MAX_AGE
        return response

    def name_origin(response: Response) -> Response:
        response.vary.add("Origin")
        if _is_listed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        return response

    def _is_listed() -> bool:
        return request.headers.get("Origin") in origins

    app.before_request(answer_preflight)
    app.after_request(name_origin)


def check_origins(settings: Settings) -> None:
    """Raise `SettingsError` unless each of ``CORS_ORIGINS`` is an origin as browsers send it."""
    for origin in settings.CORS_ORIGINS:
        if not _is_origin(origin):
            raise SettingsError(
                f"CORS_ORIGINS contains {origin!r}, which is not an origin. Write each as "
                "https://page.example.org: scheme, host, and port if not the default."
            )


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    host = f"[{name}]" if ":" in name else name
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    shown = "" if port is None else f":{port}"
    plain = text == f"{parts.scheme}://{host}{shown}" and text.isascii() and "*" not in text
    return plain and bool(name) and usual is not None and port != usual
