"""What every answer tells a browser: run nothing, guess nothing, pass nothing on.

The answers of the interface are data, whatever a script or a file put into them. So no browser may
run what is in them, nor show them in a frame of another site. Pages of the server's own are the one
exception; they say so with `PAGE_POLICY`.
"""

from __future__ import annotations

from flask import Flask, Response

from jobserver.home.settings import Settings

POLICY = "Content-Security-Policy"
#: Data that a browser shows by itself, as JSON or a picture.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: Data as a document: a table as HTML may have a look, but no origin, no script and no form.
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
#: The server's own pages, with scripts and styles from files of their own. For views in `web`.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
#: On every answer, also those to requests that cannot be read.
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_YEAR = 365 * 86400


def register(app: Flask, settings: Settings) -> None:
    """Add the headers to every answer of an app."""
    always = list(ALWAYS)
    if (settings.PUBLIC_URL or "").startswith("https://"):
        always.append(("Strict-Transport-Security", f"max-age={_YEAR}"))

    def add(response: Response) -> Response:
        headers = response.headers
        headers.update(always)
        if POLICY not in headers:
            html = response.mimetype in _DOCUMENTS
            headers[POLICY] = DOCUMENT_POLICY if html else DATA_POLICY
        return response

    app.after_request(add)


_DOCUMENTS = frozenset(("text/html", "image/svg+xml", "application/xhtml+xml", "application/xml"))
