"""Security headers of every answer.

Answers are data, whatever a script or a file put into them. No browser may run their content, guess
its type, or show it in a frame of another site. The only exceptions are the server's own pages, by
`PAGE_POLICY` and `UI_POLICY`.
"""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, Response

from jobserver.home.settings import Settings

POLICY = "Content-Security-Policy"
#: For data such as JSON or images.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: For data as documents, such as a table as HTML: styles, but no origin, scripts or forms.
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
#: For the server's own pages in `web`, with scripts and styles from their own files.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
#: For the pages below ``/ui``: nothing inline, and pictures that their scripts were sent.
UI_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
#: On every answer, including those to malformed requests.
ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
_YEAR = 365 * 86400


def disposition(how: str, name: str) -> str:
    """Return the header that names the file an answer is to be saved as.

    Parameters
    ----------
    how : str
        ``inline`` or ``attachment``.
    name : str
        A valid file name.
    """
    if name.isascii():
        return f'{how}; filename="{name}"'
    return f"{how}; filename*=UTF-8''{quote(name)}"


def register(app: Flask, settings: Settings) -> None:
    """Add the headers to every answer of an app.

    No cache may use an answer again without asking, nor show it to others if it depends on who
    asks: with login that is every one that does not say that it is public.
    """
    always = list(ALWAYS)
    if (settings.PUBLIC_URL or "").startswith("https://"):
        always.append(("Strict-Transport-Security", f"max-age={_YEAR}"))

    def add(response: Response) -> Response:
        headers = response.headers
        headers.update(always)
        if POLICY not in headers:
            html = response.mimetype in _DOCUMENTS
            headers[POLICY] = DOCUMENT_POLICY if html else DATA_POLICY
        caching = headers.setdefault("Cache-Control", "no-cache")
        if settings.LOGIN_REQUIRED and "public" not in caching:
            if "private" not in caching:
                headers["Cache-Control"] = f"private, {caching}"
            response.vary.update(("Authorization", "Cookie"))
        return response

    app.after_request(add)


_DOCUMENTS = frozenset(("text/html", "image/svg+xml", "application/xhtml+xml", "application/xml"))
