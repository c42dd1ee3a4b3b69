"""``/user``: register, activate, read, change, delete accounts; reset passwords.

An account's password is chosen with the token of a mail, never with the request that causes the
mail: that may come from anybody. The pages of the links are in `jobserver.web.registration`.
"""

from __future__ import annotations

from typing import Annotated

from bson import ObjectId
from flask import Blueprint
from pydantic import Field

from jobserver.api.framework.body import Body
from jobserver.api.framework.endpoint import Answer, Query, endpoint
from jobserver.api.framework.identity import actor, client_address, services
from jobserver.api.framework.schemas import Message, UserInfo, UserList
from jobserver.errors import Advised, BadRequest, NotFound, Problem
from jobserver.users.accounts import remove_user
from jobserver.users.policy import Role, authorize
from jobserver.users.user import User

users = Blueprint("users", __name__)


_PASSWORD = "correct horse battery staple"  # noqa: S105 - an example
Email = Annotated[str, Field(description="Email address.", examples=["ada@example.org"])]
Password = Annotated[
    str, Field(description="Password of 12 to 256 characters.", examples=[_PASSWORD])
]
LinkToken = Annotated[
    str,
    Field(description="Token of the link in the mail.", examples=["eyJ1c2VyIjoi.aR5xYw.8kq0m2"]),
]
_MAILED = "A mail with a link has been sent to this address. Open the link and choose a password."


class TokenQuery(Query):
    """The token of a link."""

    token: LinkToken | None = None


class Address(Body):
    """An email address."""

    email: Email


class Registration(Address):
    """An email address to register."""

    @classmethod
    def _message(cls, problems: list[Problem]) -> str:
        message = super()._message(problems)
        if all(problem.field != "password" for problem in problems):
            return message
        advice = "The password is chosen with the token of the mail: POST /user/<id>/activate."
        return Advised(message, advice)


class Activation(Body):
    """The token of a mail, and the password of a new account."""

    token: LinkToken = ""
    password: Password = ""


class NewPassword(Body):
    """A new password, with the token of a mail."""

    token: LinkToken
    password: Password


class Changes(Body):
    """A new password or email address, with the current password."""

    current_password: str = Field("", description="Present password.", examples=[_PASSWORD])
    password: Password = ""
    email: Email = ""


class Management(Body):
    """A role and quotas, as an administrator sets them."""

    role: Annotated[Role, Field(strict=False)] = Field(
        Role.USER,
        description="Role; superusers only may change it. The logins of the user end.",
        examples=["admin"],
    )
    # Defaults that are None would hide in the OpenAPI document that null is a value.
    job_quota: int | None = Field(
        0,
        ge=0,
        lt=10**15,
        description="Most jobs in total; null for any number.",
        examples=[1000],
    )
    job_limit: int = Field(
        0, ge=0, le=10_000, description="Most jobs queued or running at once.", examples=[100]
    )
    storage_quota: int | None = Field(
        0,
        ge=0,
        le=2**62,
        description="Most bytes of files, data, jobs, results and logs; null for any number.",
        examples=[1_073_741_824],
    )


def message(status: int, message: str) -> Answer:
    """Return an answer with only a message."""
    return Answer({"status": status, "message": message}, status)


def visible_user(user_id: str, action: str) -> User:
    """Return a user the sender may act on; `NotFound` if there is none or they may not."""
    hidden = f"There is no user {user_id}."
    found = services().accounts.users.get(ObjectId(user_id)) if ObjectId.is_valid(user_id) else None
    if found is None:
        raise NotFound(hidden)
    authorize(actor(), action, found.to_document(), hidden)
    return found


@endpoint(
    users,
    "PUT",
    "/user",
    policy="account",
    body=Registration,
    answers={201: Message},
    refusals=(429,),
)
def register(body: Registration) -> Answer:
    """Register an address; the server mails a link to choose a password."""
    services().accounts.send_link(body.email, client_address())
    return message(201, _MAILED)


@endpoint(
    users,
    "POST PUT",
    "/user/<user_id>/activate",
    policy="account",
    body=Activation,
    form=True,
    query=TokenQuery,
    answers={200: Message},
    refusals=(404, 409),
)
def activate(user_id: str, body: Activation, query: TokenQuery) -> Answer:
    """Create an account, or confirm a new email address, with the token of a mail."""
    token = body.token or query.token
    if not token or not ObjectId.is_valid(user_id):
        raise BadRequest("Send the token from the link in the mail.")
    password = body.password if "password" in body.sent() else None
    return message(200, services().accounts.activate(ObjectId(user_id), token, password))


@endpoint(
    users,
    "GET POST",
    "/user/<email>/resend",
    policy="account",
    answers={200: Message},
    refusals=(429,),
)
def resend(email: str) -> Answer:
    """Send the mail again."""
    services().accounts.send_link(email, client_address())
    return message(200, _MAILED)


@endpoint(
    users,
    "POST",
    "/password/reset",
    policy="account",
    body=Address,
    answers={202: Message},
    refusals=(429,),
)
def ask_reset(body: Address) -> Answer:
    """Request a mail with a link for choosing a new password."""
    services().accounts.send_link(body.email, client_address())
    return message(202, _MAILED)


@endpoint(
    users,
    "PUT",
    "/password/reset",
    policy="account",
    body=NewPassword,
    answers={200: Message},
)
def reset(body: NewPassword) -> Answer:
    """Set a new password with the token of a mail."""
    services().accounts.reset(body.token, body.password)
    return message(200, "The password was changed; all logins and tokens have ended. Log in.")


@endpoint(
    users, "GET", "/user/<user_id>", policy="user.read", answers={200: UserInfo}, refusals=(404,)
)
def read_user(user_id: str) -> Answer:
    """Read a user, with quotas and usage."""
    found = visible_user(user_id, "user.read")
    services().recount_storage(found.id)
    return Answer((services().accounts.users.get(found.id) or found).shown())


@endpoint(
    users,
    "POST",
    "/user/<user_id>",
    policy="user.change",
    body=Changes,
    answers={200: Message},
    refusals=(404, 409),
)
def change_user(user_id: str, body: Changes) -> Answer:
    """Change the password or the email address of the logged-in user."""
    found, sent = visible_user(user_id, "user.change"), body.sent()
    password = body.password if "password" in sent else None
    email = body.email if "email" in sent else None
    done = services().accounts.change(found, body.current_password, password, email)
    return message(200, done)


@endpoint(
    users,
    "PATCH",
    "/user/<user_id>",
    policy="user.manage",
    body=Management,
    answers={200: UserInfo},
    refusals=(404, 409),
)
def manage_user(user_id: str, body: Management) -> Answer:
    """Change the role or the quotas of a user; null lifts a quota (RFC 7396)."""
    found, values = visible_user(user_id, "user.manage"), body.sent()
    if not values:
        raise BadRequest(f"Send one or more of: {', '.join(Management.model_fields)}.")
    if "role" in values:
        authorize(actor(), "user.role")
    return Answer(services().accounts.manage(found, values).shown())


@endpoint(
    users,
    "DELETE",
    "/user/<user_id>",
    policy="user.delete",
    answers={200: Message},
    refusals=(404, 409),
)
def delete_user(user_id: str) -> Answer:
    """Delete a user, with all their jobs, data and data files."""
    parts, found = services(), visible_user(user_id, "user.delete")
    remove_user(found, parts.accounts.users, parts.jobs, parts.data, parts.datafiles)
    return message(200, f"The user {user_id} was deleted with all jobs, data and data files.")


@endpoint(users, "GET", "/users", policy="users.list", answers={200: UserList})
def list_users() -> Answer:
    """List all users, oldest first."""
    found = [user.shown() for user in services().accounts.users.list()]
    return Answer({"found": len(found), "users": found})
