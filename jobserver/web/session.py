"""The login on pages: a cookie that scripts cannot read, renewed while it is used."""

from __future__ import annotations

from typing import Annotated

from flask import Flask, Response, g, request
from pydantic import Field

from jobserver.api.framework.endpoint import Query, endpoint
from jobserver.api.framework.identity import (
    SESSION_COOKIE,
    actor,
    client_address,
    services,
    session_token,
)
from jobserver.api.login import Credentials
from jobserver.errors import ApiError
from jobserver.users.policy import NOBODY
from jobserver.web.pages import (
    LONGEST_NEXT,
    ROOT,
    page,
    pages,
    prefers_html,
    refusal,
    render,
    return_to,
    see_other,
)

Next = Annotated[
    str, Field(max_length=LONGEST_NEXT, description="Path of the page to show afterwards.")
]


class LoginQuery(Query):
    """Where a login leads."""

    next: Next = ""


class LoginForm(Credentials):
    """The form of the login page."""

    next: Next = ""


@page("/login", policy="account", query=LoginQuery)
def show_login(query: LoginQuery) -> Response:
    """Show the login."""
    return render("login.html", next=query.next, message="", typed="")


@endpoint(
    pages,
    "POST",
    f"{ROOT}/login",
    policy="account",
    body=LoginForm,
    form=True,
    answers={204: "text/html", 303: "text/html"},
    refusals=(401, 429),
    headers={303: ("Location",)},
)
def log_in(body: LoginForm) -> Response:
    """Log in on a page: a browser is sent to the page it came from, a script gets 204."""
    try:
        user = services().accounts.log_in(body.email, body.password, client_address())
    except ApiError as error:
        if not prefers_html():
            raise
        return refusal("login.html", error, next=body.next, typed=body.email)
    response = return_to(body.next) if prefers_html() else Response(status=204)
    _set_cookie(response, services().accounts.access_token(user))
    return response


@endpoint(
    pages,
    "POST",
    f"{ROOT}/logout",
    policy="logout",
    answers={303: "text/html"},
    headers={303: ("Location",)},
)
def log_out() -> Response:
    """End all logins of the user."""
    user_id = actor().id
    if user_id is not None:
        services().accounts.users.revoke(user_id)
    response = see_other("/login")
    response.delete_cookie(SESSION_COOKIE, path=_path())
    return response


def register(app: Flask) -> None:
    """Renew the cookie of a login in answers of an app, once half of its time has passed."""
    app.after_request(_renew)


def _renew(response: Response) -> Response:
    token = session_token()
    if not token or g.get("actor", NOBODY) is NOBODY or response.headers.getlist("Set-Cookie"):
        return response
    if renewed := services().accounts.renewed(token):
        _set_cookie(response, renewed)
    return response


def _set_cookie(response: Response, token: str) -> None:
    settings = services().settings
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=settings.ACCESS_TOKEN_LIFESPAN,
        path=_path(),
        secure=request.is_secure or (settings.PUBLIC_URL or "").startswith("https://"),
        httponly=True,
        samesite="Strict",
    )


def _path() -> str:
    return request.script_root or "/"
