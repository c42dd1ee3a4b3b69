"""Web pages of other origins that may call: those in ``CORS_ORIGINS``, and no others.

A browser asks before it sends what a plain form could not (``OPTIONS`` with a method), and shows
the answer to the page only if that names its origin. Cookies play no part: who calls sends a header
``Authorization``, as any other client.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from jobserver.errors import SettingsError
from jobserver.settings import Settings

#: For an address that does not exist, so that the page gets to see that it does not.
_METHODS = {"DELETE", "GET", "POST", "PUT"}
_TAKEN = "Authorization, Content-Type, Last-Event-ID"
_SHOWN = "Content-Disposition, Location, Retry-After, WWW-Authenticate"
#: Seconds for which a browser need not ask again; none remembers longer than two hours.
_REMEMBERED = "7200"


def register(app: Flask, settings: Settings) -> None:
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
