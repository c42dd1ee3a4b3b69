"""The page of one's own account: usage, password, address, personal tokens, deletion."""

from __future__ import annotations

from datetime import UTC
from typing import NamedTuple

from flask import Response

from jobserver.api.framework.identity import actor, services
from jobserver.errors import Unauthorized
from jobserver.sizes import rounded_size
from jobserver.storage.database import Document
from jobserver.users.passwords import LONGEST, SHORTEST
from jobserver.users.policy import Scope, authorize
from jobserver.users.store import shown_token
from jobserver.users.user import User
from jobserver.web.pages import page, render


class Quota(NamedTuple):
    """How much of a quota is used; ``most`` is None if there is none."""

    used: int
    most: int | None
    used_text: str
    most_text: str


def quotas_of(user: User) -> dict[str, Quota]:
    """Return what a user has used of each quota, by the names of fields of users."""
    numbers = {
        "job_quota": (user.charged, user.job_quota),
        "job_limit": (len(user.open), user.job_limit),
    }
    counted = {name: Quota(*pair, *map(str, pair)) for name, pair in numbers.items()}
    most = user.storage_quota
    sizes = rounded_size(user.stored), "" if most is None else rounded_size(most)
    return {**counted, "storage_quota": Quota(user.stored, most, *sizes)}


@page("/account", policy="logout")
def show_account() -> Response:
    """Show the account of who is logged in."""
    authorize(actor(), "user.tokens")  # else without login, too
    users = services().accounts.users
    user = users.get(actor().id)
    if user is None:
        raise Unauthorized("This user was deleted. Log in again.")
    services().recount_storage(user.id)
    return render(
        "account.html",
        user=user,
        quotas=quotas_of(users.get(user.id) or user),
        tokens=[_row(shown_token(each)) for each in users.tokens(user.id)],
        scopes=[*Scope],
        shortest=SHORTEST,
        longest=LONGEST,
    )


def _row(token: Document) -> Document:
    return {**token, "created": token["created"].replace(tzinfo=UTC)}
