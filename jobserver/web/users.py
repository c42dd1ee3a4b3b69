"""The page of all users, for administrators."""

from __future__ import annotations

from bson import ObjectId
from flask import Response
from pydantic import Field

from jobserver.api.framework.endpoint import Query
from jobserver.api.framework.identity import actor, services
from jobserver.storage.database import Document
from jobserver.users.policy import Actor, Role
from jobserver.users.user import User
from jobserver.web.account import quotas_of
from jobserver.web.pages import page, render

PAGE_SIZE = 50


class UsersPageQuery(Query):
    """Which users to show: by a part of their address, and after which id."""

    text: str = Field(default="", max_length=254)
    after: str = Field(default="", pattern="^([0-9a-f]{24})?$")


@page("/users", policy="users.list", query=UsersPageQuery)
def show_users(query: UsersPageQuery) -> Response:
    """Show users, oldest first."""
    after = ObjectId(query.after) if query.after else None
    text = query.text.strip().lower()
    found = [*services().accounts.users.page(PAGE_SIZE + 1, text, after)]
    shown = found[:PAGE_SIZE]
    return render(
        "users.html",
        users=[_row(user, actor()) for user in shown],
        query=query,
        next=str(shown[-1].id) if len(found) > PAGE_SIZE else "",
        roles=[role.value for role in Role] if actor().is_at_least(Role.SUPERUSER) else [],
    )


def _row(user: User, sender: Actor) -> Document:
    senior = sender.is_at_least(user.role)
    return {
        "user": user,
        "quotas": quotas_of(user),
        "is_self": user.id == sender.id,
        "can_manage": senior,
        "can_delete": senior and user.id != sender.id,
    }
