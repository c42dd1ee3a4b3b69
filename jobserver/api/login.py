"""``/login``, ``/logout``, ``/user/<id>/tokens``: logins and personal tokens."""

from __future__ import annotations

from typing import Annotated

from bson import ObjectId
from flask import Blueprint, request
from pydantic import Field

from jobserver.api.framework.body import Body
from jobserver.api.framework.endpoint import Answer, endpoint
from jobserver.api.framework.identity import actor, client_address, log_in_basic, services
from jobserver.api.framework.schemas import Login, MadeToken, Message, TokenList
from jobserver.api.users import Email, Password, message, visible_user
from jobserver.errors import BadRequest, NotFound, Problem
from jobserver.users.policy import Scope
from jobserver.users.store import shown_token
from jobserver.users.user import User

login = Blueprint("login", __name__)

_SECRET = {"Cache-Control": "no-store"}


class Credentials(Body):
    """A user's email address and password; neither with HTTP Basic."""

    email: Email = ""
    password: Password = ""


class NewToken(Body):
    """A personal token to create."""

    name: str = Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Purpose of the token.",
        examples=["nightly import"],
    )
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(
        min_length=1, description="What the token allows.", examples=[["read", "run"]]
    )


@endpoint(login, "GET", "/login", policy="account", answers={200: Login}, refusals=(401, 429))
def log_in_by_header() -> Answer:
    """Log in with HTTP Basic."""
    return _logged_in(log_in_basic(request.authorization))


@endpoint(
    login,
    "POST",
    "/login",
    policy="account",
    body=Credentials,
    form=True,
    answers={200: Login},
    refusals=(401, 429),
)
def log_in(body: Credentials) -> Answer:
    """Log in with HTTP Basic, or with email and password in the body."""
    sent = body.sent()
    if not sent:
        return _logged_in(log_in_basic(request.authorization))
    if missing := [name for name in Credentials.model_fields if name not in sent]:
        problems = [Problem(name, "is missing") for name in missing]
        raise BadRequest("Send HTTP Basic, or email and password.", problems)
    return _logged_in(services().accounts.log_in(body.email, body.password, client_address()))


def _logged_in(user: User) -> Answer:
    token = services().accounts.access_token(user)
    seconds = services().settings.ACCESS_TOKEN_LIFESPAN
    content = {"user": user.shown(), "access_token": token, "expires_in": seconds}
    return Answer(content, headers=_SECRET)


@endpoint(login, "POST", "/logout", policy="logout", answers={200: Message})
def log_out() -> Answer:
    """End all logins of the user; personal tokens stay valid."""
    user_id = actor().id
    if user_id is not None:
        services().accounts.users.revoke(user_id)
    return message(200, "All logins of this user have ended.")


@endpoint(
    login,
    "GET",
    "/user/<user_id>/tokens",
    policy="user.tokens",
    answers={200: TokenList},
    refusals=(404,),
)
def list_tokens(user_id: str) -> Answer:
    """List a user's personal tokens, without the tokens themselves."""
    user = visible_user(user_id, "user.tokens")
    found = [shown_token(each) for each in services().accounts.users.tokens(user.id)]
    return Answer({"found": len(found), "tokens": found})


@endpoint(
    login,
    "PUT",
    "/user/<user_id>/tokens",
    policy="user.tokens",
    body=NewToken,
    answers={201: MadeToken},
    refusals=(404, 409),
)
def make_token(user_id: str, body: NewToken) -> Answer:
    """Create a personal token for a program; it is shown only once."""
    user = visible_user(user_id, "user.tokens")
    kept, token = services().accounts.users.make_token(user, body.name, body.scopes)
    return Answer({**shown_token(kept), "token": token}, 201, _SECRET)


@endpoint(
    login,
    "DELETE",
    "/user/<user_id>/tokens/<token_id>",
    policy="user.tokens",
    answers={200: Message},
    refusals=(404,),
)
def delete_token(user_id: str, token_id: str) -> Answer:
    """Delete a personal token, which makes it invalid."""
    user = visible_user(user_id, "user.tokens")
    if not ObjectId.is_valid(token_id):
        raise NotFound(f"There is no token {token_id}.")
    services().accounts.users.drop_token(user.id, ObjectId(token_id))
    return message(200, f"The token {token_id} was deleted.")
