"""``/user``: register, activate, read, change, delete accounts; reset passwords."""

from __future__ import annotations

from bson import ObjectId
from flask import Blueprint

from jobserver.api.framework.endpoint import Answer, Query, endpoint
from jobserver.api.framework.identity import actor, client_address, services
from jobserver.api.framework.schemas import (
    Activation,
    Address,
    Changes,
    Message,
    NewPassword,
    Registration,
    UserInfo,
    UserList,
)
from jobserver.errors import BadRequest, NotFound
from jobserver.users.accounts import remove_user
from jobserver.users.policy import authorize
from jobserver.users.user import User

users = Blueprint("users", __name__)


class TokenQuery(Query):
    """The token of a link."""

    token: str | None = None


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
def register(body: dict[str, object]) -> Answer:
    """Register; the server mails an activation link."""
    email, password = body.get("email"), body.get("password")
    services().accounts.register(email, password, client_address())
    return message(201, "Open the link in the mail sent to this address, then log in.")


@endpoint(
    users,
    "GET",
    "/user/<user_id>/activate",
    policy="account",
    query=TokenQuery,
    answers={200: Message},
    refusals=(404, 409),
)
def activate(user_id: str, query: TokenQuery) -> Answer:
    """Confirm an email address by the link of a mail."""
    return _activated(user_id, query.token)


@endpoint(
    users,
    "PUT",
    "/user/<user_id>/activate",
    policy="account",
    body=Activation,
    query=TokenQuery,
    answers={200: Message},
    refusals=(404, 409),
)
def activate_by_token(user_id: str, body: dict[str, object], query: TokenQuery) -> Answer:
    """Confirm an email address by the token of a mail."""
    return _activated(user_id, body.get("token", query.token))


def _activated(user_id: str, token: object) -> Answer:
    if not isinstance(token, str) or not ObjectId.is_valid(user_id):
        raise BadRequest("Send the token from the link in the mail.")
    services().accounts.activate(ObjectId(user_id), token)
    return message(200, "The email address is confirmed. Log in.")


@endpoint(
    users,
    "GET",
    "/user/<email>/resend",
    policy="account",
    answers={200: Message},
    refusals=(429,),
)
def resend(email: str) -> Answer:
    """Send the activation mail again."""
    services().accounts.resend(email)
    return message(200, "If this address is waiting to be confirmed, a mail has been sent to it.")


@endpoint(
    users,
    "POST",
    "/password/reset",
    policy="account",
    body=Address,
    answers={202: Message},
    refusals=(429,),
)
def ask_reset(body: dict[str, object]) -> Answer:
    """Request a mail with a link for choosing a new password."""
    services().accounts.ask_reset(body.get("email"))
    return message(202, "If there is a user with this address, a mail has been sent to it.")


@endpoint(
    users, "GET", "/password/reset", policy="account", query=TokenQuery, answers={200: Message}
)
def explain_reset(query: TokenQuery) -> Answer:  # noqa: ARG001 - for the next request
    """Explain how to use the link of a mail."""
    return message(200, "Send the token in this link and a new password with PUT /password/reset.")


@endpoint(
    users,
    "PUT",
    "/password/reset",
    policy="account",
    body=NewPassword,
    answers={200: Message},
)
def reset(body: dict[str, object]) -> Answer:
    """Set a new password with the token of a mail."""
    services().accounts.reset(str(body.get("token")), body.get("password"))
    return message(200, "The password was changed; all logins and tokens have ended. Log in.")


@endpoint(
    users, "GET", "/user/<user_id>", policy="user.read", answers={200: UserInfo}, refusals=(404,)
)
def read_user(user_id: str) -> Answer:
    """Read a user, with quotas and usage."""
    found = visible_user(user_id, "user.read")
    services().jobs.quotas.reconcile(found.id)
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
def change_user(user_id: str, body: dict[str, object]) -> Answer:
    """Change the password or the email address of the logged-in user."""
    found = visible_user(user_id, "user.change")
    return message(200, services().accounts.change(found, body))


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
