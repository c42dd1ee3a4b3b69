"""The interface for programs as a page for people: Swagger UI."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_file

from jobserver.api.framework.endpoint import endpoint
from jobserver.api.framework.headers import PAGE_POLICY, POLICY
from jobserver.errors import NotFound

STATIC = Path(__file__).parent / "static"
#: The only files served: those a page loads, with their media types.
ASSETS = {
    "docs.js": "text/javascript",
    "swagger-ui/swagger-ui.css": "text/css",
    "swagger-ui/swagger-ui-bundle.js": "text/javascript",
}
CACHE_SECONDS = 3600
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jobserver: the interface</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui/swagger-ui.css">
<script src="docs/docs.js"></script>
<script src="docs/swagger-ui/swagger-ui-bundle.js" defer></script>
</head>
<body>
<p style="margin: 1rem auto; max-width: 1460px; padding: 0 20px">
<a href="ui/jobs">← Jobs and all other pages</a></p>
<main id="interface"></main>
<noscript>This page needs JavaScript. See also <a href="openapi.json">openapi.json</a>.
</noscript>
</body>
</html>
"""

web = Blueprint("web", __name__)


@endpoint(web, "GET", "/docs", policy="info", answers={200: "text/html"})
def read_docs() -> Response:
    """Show the interface in Swagger UI, to read and to try."""
    headers = {POLICY: PAGE_POLICY, "Cache-Control": "no-cache"}
    return Response(PAGE, headers=headers, content_type="text/html; charset=utf-8")


@endpoint(
    web,
    "GET",
    "/docs/<path:asset>",
    policy="info",
    answers={200: ("text/javascript", "text/css")},
    refusals=(404,),
    headers={200: ("Accept-Ranges", "Content-Disposition", "Last-Modified")},
)
def read_asset(asset: str) -> Response:
    """Return a file that the page loads."""
    if asset not in ASSETS:
        raise NotFound("This page has no such file.")
    return send_file(STATIC / asset, mimetype=ASSETS[asset], max_age=CACHE_SECONDS)
