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

from flask import Flask, Response, request

from jobserver.api.framework.identity import services
from jobserver.errors import Forbidden, SettingsError
from jobserver.home.settings import Settings

LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
#: Addresses that are remembered: nearly all requests come to the same few.
_ADDRESSES = 64
#: For an address that does not exist, so that the page gets to see that it does not.
_METHODS = {"DELETE", "GET", "POST", "PUT"}
_TAKEN = "Authorization, Content-Type, Last-Event-ID"
_SHOWN = "Content-Disposition, Location, Retry-After, WWW-Authenticate"
#: Seconds for which a browser need not ask again; none remembers longer than two hours.
_REMEMBERED = "7200"


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


def register_cors(app: Flask, settings: Settings) -> None:
    """Answer browsers that ask for pages of other origins."""
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
        response.headers["Access-Control-Allow-Headers"] = _TAKEN
        response.headers["Access-Control-Max-Age"] = _REMEMBERED
        return response

    def name_origin(response: Response) -> Response:
        response.vary.add("Origin")
        if _is_listed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = _SHOWN
        return response

    def _is_listed() -> bool:
        return request.headers.get("Origin") in origins

    app.before_request(answer_preflight)
    app.after_request(name_origin)


def check_origins(settings: Settings) -> None:
    """See to it that each of ``CORS_ORIGINS`` is an origin as browsers send it.

    Raises
    ------
    SettingsError
        If one is not, and so would never match.
    """
    for origin in settings.CORS_ORIGINS:
        if not _is_origin(origin):
            raise SettingsError(
                f"CORS_ORIGINS holds {origin!r}, which is no origin. Write each as "
                "https://page.example.org: scheme, host, and port if there is one, nothing after."
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
