"""Pages for people: how one is declared, rendered in the visitor's language, and refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlencode, urlsplit

from flask import Blueprint, Flask, Response, current_app, render_template, request
from werkzeug.exceptions import HTTPException

import jobserver
from jobserver.api.framework.endpoint import Query, View, endpoint
from jobserver.api.framework.errors import api_error, http_error
from jobserver.api.framework.headers import POLICY, UI_POLICY
from jobserver.api.framework.identity import actor, services
from jobserver.errors import ApiError, NotFound, Unauthorized, plain
from jobserver.users.policy import LOCAL, NOBODY, Actor, Role
from jobserver.web.texts import DEFAULT_LANGUAGE, LANGUAGES, texts

V = TypeVar("V", bound=View)

#: Where pages are: their paths start with it.
ROOT = "/ui"
STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
#: Characters of the path and query of a page that a login leads back to.
LONGEST_NEXT = 4000
_FOR_EVER = "public, max-age=31536000, immutable"
#: Cookies in which a browser keeps how pages look.
LANGUAGE_COOKIE, THEME_COOKIE = "jobserver_language", "jobserver_theme"
_THEMES = ("light", "dark")

pages = Blueprint("pages", __name__, template_folder="templates")


def page(
    path: str, *, policy: str, query: type[Query] | None = None, refusals: tuple[int, ...] = ()
) -> Callable[[V], V]:
    """Declare a page, by its path below `ROOT`.

    Errors of its view are pages, too; without a login, the browser is sent there.
    """
    return endpoint(
        pages,
        "GET",
        f"{ROOT}{path}",
        policy=policy,
        query=query,
        refusals=refusals,
        answers={200: "text/html"},
        headers={303: ("Location",)},
    )


@pages.errorhandler(ApiError)
def refused(error: ApiError) -> Response:
    """Show an error as a page, or the login if nobody is logged in; programs get JSON."""
    if not prefers_html():
        return api_error(error)
    if isinstance(error, Unauthorized) and request.method != "GET":
        return see_other("/login")
    if isinstance(error, Unauthorized):
        query = f"?{text}" if (text := request.query_string.decode("ascii", "replace")) else ""
        wanted = f"{request.path}{query}"
        return see_other("/login", next=wanted if len(wanted) <= LONGEST_NEXT else request.path)
    return refusal("error.html", error)


def register(app: Flask) -> None:
    """Show people a page where an app has none below `ROOT`, and for every other error there."""
    app.register_error_handler(404, _no_page)
    app.after_request(_as_page)


def _as_page(response: Response) -> Response:
    """Show an error that no page handled, such as 405 or 500, as a page."""
    is_error = response.status_code >= 400 and response.mimetype == "application/json"
    if not is_error or not request.path.startswith(f"{ROOT}/") or not prefers_html():
        return response
    error = ApiError(json.loads(response.get_data())["message"])
    shown = refusal("error.html", error)
    response.set_data(shown.get_data())
    for name in (POLICY, "Cache-Control", "Content-Type"):
        response.headers[name] = shown.headers[name]
    response.vary.add("Cookie")
    return response


def _no_page(error: HTTPException) -> Response:
    if request.path.rstrip("/") == ROOT:
        return see_other("/jobs")
    if not request.path.startswith(f"{ROOT}/") or not prefers_html():
        return http_error(error)
    return refused(NotFound("There is no such page."))


def refusal(template: str, error: ApiError, **values: object) -> Response:
    """Return a page that says why a request was refused: its ``message`` and ``problems``."""
    problems = [replace(each, problem=plain(each.problem)) for each in error.errors]
    values |= {"message": plain(error.message), "problems": problems}
    response = render(template, error.status, **values)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def see_other(path: str, **query: str) -> Response:
    """Send the browser to a page, by its path below `ROOT`."""
    arguments = f"?{urlencode(query)}" if query else ""
    return _redirection(f"{request.script_root}{ROOT}{path}{arguments}")


def return_to(path: str) -> Response:
    """Send the browser to a path of this server that a visitor's link named; else to the jobs."""
    parts = urlsplit(path) if path.isprintable() and "\\" not in path else None
    if parts is None or parts.scheme or parts.netloc or not path.startswith(f"{ROOT}/"):
        return see_other("/jobs")
    if "GET" not in current_app.url_map.bind("").allowed_methods(unquote(parts.path)):
        return see_other("/jobs")  # not a page, but what a form sends, such as the logout
    return _redirection(f"{request.script_root}{path}")


def _redirection(address: str) -> Response:
    response = Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})
    del response.headers["Content-Type"]
    return response


def prefers_html() -> bool:
    """Whether the client is a browser that shows a page."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def language() -> str:
    """Return the language of the visitor: as chosen on a page, else as the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES) or DEFAULT_LANGUAGE


def render(template: str, status: int = 200, **values: object) -> Response:
    """Return a page, rendered in the visitor's language.

    Parameters
    ----------
    template : str
        File in ``templates``.
    status : int
        HTTP status code.
    **values : object
        What it shows, besides what every page does.
    """
    visitor, chosen = _visitor(), language()
    theme = request.cookies.get(THEME_COOKIE)
    content = render_template(
        template,
        t=texts(chosen).get,
        script_texts=texts(chosen).of_scripts(),
        language=chosen,
        languages=LANGUAGES,
        theme=theme if theme in _THEMES else None,
        root=request.script_root,
        static=f"{request.script_root}{ROOT}/static/{build()}",
        version=jobserver.__version__,
        login=services().settings.LOGIN_REQUIRED,
        visitor=visitor,
        is_admin=visitor.is_at_least(Role.ADMIN),
        email=_email(visitor),
        **values,
    )
    caching = "no-store" if services().settings.LOGIN_REQUIRED else "no-cache"  # Back, after logout
    headers = {POLICY: UI_POLICY, "Cache-Control": f"{caching}, private", "Vary": "Cookie"}
    response = Response(content, status, headers, content_type="text/html; charset=utf-8")
    if status == 200 and request.method in ("GET", "HEAD"):
        response.add_etag()
        response.make_conditional(request)
    return response


def _visitor() -> Actor:
    """Return who looks at the page; `NOBODY` if the login has ended."""
    try:
        return actor()
    except ApiError:
        return NOBODY


def _email(visitor: Actor) -> str:
    if visitor is LOCAL or visitor.id is None:
        return ""
    user = services().accounts.users.get(visitor.id)
    return user.email if user else ""


@cache
def files() -> dict[str, Path]:
    """Return the files that pages load, by their paths in URLs."""
    found = (path for path in STATIC.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(STATIC).as_posix(): path for path in found}


@cache
def build() -> str:
    """Return a checksum of the files that pages load, which is part of their URLs."""
    checksum = hashlib.sha256()
    for name, path in sorted(files().items()):
        if not name.startswith("swagger-ui/"):
            checksum.update(path.read_bytes())
    return checksum.hexdigest()[:12]


@endpoint(
    pages,
    "GET",
    f"{ROOT}/static/<checksum>/<path:name>",
    policy="info",
    answers={200: ("text/javascript", "text/css", "image/svg+xml")},
    refusals=(404,),
)
def read_file(checksum: str, name: str) -> Response:
    """Return a file that pages load; browsers keep those of this version for ever."""
    path = files().get(name)
    if path is None:
        raise NotFound("Pages have no such file.")
    caching = _FOR_EVER if checksum == build() else "no-cache"
    response = Response(path.read_bytes(), mimetype=_TYPES[path.suffix])
    response.headers["Cache-Control"] = caching
    response.add_etag()
    response.make_conditional(request)
    return response
