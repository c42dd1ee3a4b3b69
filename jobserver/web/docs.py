"""Pages for people: the interface in Swagger UI, and the pages that links in mails lead to."""

from __future__ import annotations

from pathlib import Path

from bson import ObjectId
from flask import Blueprint, Response, send_file

from jobserver.api.framework.endpoint import endpoint
from jobserver.api.framework.headers import FORM_POLICY, PAGE_POLICY, POLICY
from jobserver.api.framework.identity import services
from jobserver.api.users import TokenQuery
from jobserver.errors import BadRequest, NotFound
from jobserver.users.passwords import LONGEST, SHORTEST

STATIC = Path(__file__).parent / "static"
#: The only files served: those a page loads, with their media types.
ASSETS = {
    "account.js": "text/javascript",
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
<script src="docs/swagger-ui/swagger-ui-bundle.js" defer></script>
<script src="docs/docs.js" defer></script>
</head>
<body>
<main id="interface"></main>
<noscript>This page needs JavaScript. See also <a href="openapi.json">openapi.json</a>.
</noscript>
</body>
</html>
"""

#: The page of a link in a mail. Only its form changes anything, never opening the page: programs
#: that scan mails do that, too. Paths are relative, as a proxy may serve it elsewhere.
ACCOUNT_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jobserver: {title}</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 1rem/1.5 sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .4rem .6rem; box-sizing: border-box }}
input {{ display: block; width: 100%; margin: .3rem 0 1rem }}
</style>
<script src="{root}/docs/account.js" defer></script>
</head>
<body>
<main>
<h1>{title}</h1>
<form method="post">
{field}<button>{title}</button>
</form>
<p id="answer" role="status"></p>
</main>
</body>
</html>
"""
_PASSWORD_FIELD = f"""<label>Password, {SHORTEST} to {LONGEST} characters
<input name="password" type="password" required minlength="{SHORTEST}" maxlength="{LONGEST}"
 autocomplete="new-password"></label>
"""

web = Blueprint("web", __name__)


@endpoint(web, "GET", "/docs", policy="info", answers={200: "text/html"})
def read_docs() -> Response:
    """Show the interface in Swagger UI, to read and to try."""
    return _page(PAGE, PAGE_POLICY)


def _page(text: str, policy: str) -> Response:
    headers = {POLICY: policy, "Cache-Control": "no-cache"}
    return Response(text, headers=headers, content_type="text/html; charset=utf-8")


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


@endpoint(
    web,
    "GET",
    "/user/<user_id>/activate",
    policy="account",
    query=TokenQuery,
    answers={200: "text/html"},
    refusals=(404,),
)
def show_activation(user_id: str, query: TokenQuery) -> Response:
    """Show the form that activates an account, or confirms a new email address."""
    if query.token is None or not ObjectId.is_valid(user_id):
        raise BadRequest("Open the link in the mail.")
    claims = services().accounts.activation(ObjectId(user_id), query.token)
    title, field = ("Confirm the address", "") if "of" in claims else ("Activate", _PASSWORD_FIELD)
    return _page(ACCOUNT_PAGE.format(title=title, root="../..", field=field), FORM_POLICY)


@endpoint(
    web,
    "GET",
    "/password/reset",
    policy="account",
    query=TokenQuery,
    answers={200: "text/html"},
)
def show_reset(query: TokenQuery) -> Response:
    """Show the form that sets a new password."""
    services().accounts.links.read("reset", query.token or "")
    text = ACCOUNT_PAGE.format(title="Change the password", root="..", field=_PASSWORD_FIELD)
    return _page(text, FORM_POLICY)
