"""What lies between clients and views: the path of a proxy, and compression."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, request

from jobserver.home.settings import Settings
from jobserver.sizes import KIB

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Bytes below which compression saves nothing.
_SMALLEST = KIB
#: Compression in the format gzip, quick rather than small.
_LEVEL, _GZIP = 1, 16 + zlib.MAX_WBITS
_COMPRESSED = frozenset(
    ("application/json", "image/svg+xml", "text/css", "text/csv", "text/html", "text/javascript")
) | {"text/plain"}
#: What the ETag of a compressed answer ends with: it has other bytes.
_SUFFIX = '-gzip"'


def register(app: Flask, settings: Settings) -> None:
    """Serve an app below the path of ``PUBLIC_URL``, and compress answers where asked for."""
    prefix = urlsplit(settings.PUBLIC_URL or "").path.rstrip("/")
    setattr(app, "wsgi_app", _below(prefix, app.wsgi_app))  # noqa: B010 - as Flask says
    app.before_request(_read_tags)
    app.after_request(_compress)


def _below(prefix: str, app: WSGIApplication) -> WSGIApplication:
    """Return an app whose links begin with a prefix; the proxy may pass it on or remove it.

    An empty path is ``/``, and no protocol to upgrade to is supported: Flask would redirect the
    one, and look for routes of web sockets for the other.
    """

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if path == prefix or path.startswith(f"{prefix}/"):
            path = path[len(prefix) :]
        environ["PATH_INFO"] = path or "/"
        if prefix:
            environ["SCRIPT_NAME"] = prefix
        environ.pop("HTTP_UPGRADE", None)
        return app(environ, start_response)

    return serve


def _read_tags() -> None:
    """Compare ETags as those of the answer before it was compressed."""
    for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
        if tags := request.environ.get(name):
            request.environ[name] = tags.replace(_SUFFIX, '"')


def _compress(response: Response) -> Response:
    """Compress an answer if the client takes that, and it holds no secret and no part of a file.

    What browsers must not store is a secret, except for pages: their secret is in a cookie.
    """
    headers = response.headers
    if int(headers.get("Content-Length", _SMALLEST)) < _SMALLEST:  # nearly all: looked at first
        return response
    if (
        response.mimetype not in _COMPRESSED
        or response.status_code != 200
        or "Content-Encoding" in headers
        or "Accept-Ranges" in headers
        or (response.mimetype != "text/html" and "no-store" in headers.get("Cache-Control", ""))
    ):
        return response
    response.vary.add("Accept-Encoding")
    if not request.accept_encodings.quality("gzip"):
        return response
    if tag := headers.get("ETag", ""):
        headers["ETag"] = tag.removesuffix('"') + _SUFFIX
    headers["Content-Encoding"] = "gzip"
    del headers["Content-Length"]
    if response.is_streamed:
        response.response = _compressed(response.iter_encoded())
    else:
        response.set_data(b"".join(_compressed([response.get_data()])))
    return response


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
