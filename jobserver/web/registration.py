"""Pages of people without a login: create an account, and choose a password by a mailed link.

All of it works without JavaScript. Only the form of a link's page changes anything, never opening
it: programs that scan mails do that, too.
"""

from __future__ import annotations

from bson import ObjectId
from flask import Response, request

from jobserver.api.framework.body import FORMS, Body, read_body
from jobserver.api.framework.endpoint import endpoint
from jobserver.api.framework.identity import actor, client_address, services
from jobserver.api.users import Address, Password, TokenQuery, users
from jobserver.errors import ApiError, BadRequest
from jobserver.storage.database import Document
from jobserver.users.passwords import LONGEST, SHORTEST
from jobserver.users.policy import authorize
from jobserver.web.docs import web
from jobserver.web.pages import ROOT, page, pages, prefers_html, refusal, refused, render

_LENGTHS = {"shortest": SHORTEST, "longest": LONGEST}
#: Endpoints to which the forms of links are sent, and what these forms are about.
_LINKS = {"users.activate": "activate", "users.ask_reset": "reset"}

web.register_error_handler(ApiError, refused)


class LinkForm(Body):
    """The form of a link's page."""

    password: Password = ""


@page("/register", policy="account")
def show_registration() -> Response:
    """Show the form that registers an address."""
    return render("address.html", kind="register")


@page("/forgotten", policy="account")
def show_forgotten() -> Response:
    """Show the form that requests a link to choose a new password."""
    return render("address.html", kind="forgotten")


@endpoint(
    pages,
    "POST",
    f"{ROOT}/register",
    policy="account",
    body=Address,
    form=True,
    answers={200: "text/html"},
    refusals=(429,),
)
def send_registration(body: Address) -> Response:
    """Mail a link to a new user."""
    return _mailed("register", body.email)


@endpoint(
    pages,
    "POST",
    f"{ROOT}/forgotten",
    policy="account",
    body=Address,
    form=True,
    answers={200: "text/html"},
    refusals=(429,),
)
def send_forgotten(body: Address) -> Response:
    """Mail a link to a user who forgot the password."""
    return _mailed("forgotten", body.email)


def _mailed(kind: str, email: str) -> Response:
    """Mail a link, and say so: the same for all addresses, known or not."""
    try:
        services().accounts.send_link(email, client_address())
    except ApiError as error:
        return refusal("address.html", error, kind=kind, typed=email)
    return render("address.html", kind=kind, mailed=email)


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
    claims = _activation(user_id, query.token)
    return render("link.html", **_LENGTHS, kind=_kind(claims), address=claims["email"])


def _activation(user_id: str, token: str | None) -> Document:
    if not token or not ObjectId.is_valid(user_id):
        raise BadRequest("Open the link in the mail.")
    return services().accounts.activation(ObjectId(user_id), token)


def _kind(claims: Document) -> str:
    return "confirm" if "of" in claims else "activate"


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
    return render("link.html", **_LENGTHS, kind="reset", address="")


@users.before_request
def receive_form() -> Response | None:
    """Answer the form of a link's page with a page; it comes by POST, as HTML knows no PUT."""
    is_form = request.method == "POST" and request.mimetype in FORMS and prefers_html()
    if not is_form or (link := _LINKS.get(request.endpoint or "")) is None:
        return None
    token = request.args.get("token", "")
    try:
        authorize(actor(), "account")
        password = read_body(LinkForm, form=True).password
        kind = _reset(token, password) if link == "reset" else _activate(token, password)
    except ApiError as error:
        if not error.errors:
            return refusal("error.html", error)
        return refusal("link.html", error, **_LENGTHS, kind=link, address="")
    return render("link.html", kind=kind, done=True)


def _reset(token: str, password: str) -> str:
    services().accounts.reset(token, password)
    return "reset"


def _activate(token: str, password: str) -> str:
    user_id = str((request.view_args or {})["user_id"])
    kind = _kind(_activation(user_id, token))
    given = None if kind == "confirm" else password
    services().accounts.activate(ObjectId(user_id), token, given)
    return kind
