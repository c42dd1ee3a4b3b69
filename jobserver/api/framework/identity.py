"""The request at hand: the server that answers it, who sent it, and what they may touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import current_app, g, request
from werkzeug.datastructures import Authorization

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import Unauthorized
from jobserver.storage.database import Document
from jobserver.users.accounts import actor_of
from jobserver.users.policy import LOCAL, NOBODY, Actor, Role, visibility_filter

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: Where a Flask application holds its `Services`.
KEY = "jobserver"
_UNKNOWN = "The header Authorization is wrong. It takes 'Basic ...' or 'Bearer <token>'."


def services() -> Services:
    """Return the parts of the server that answers this request."""
    parts: Services = current_app.extensions[KEY]
    return parts


def actor() -> Actor:
    """Who asks.

    Raises
    ------
    Unauthorized
        If what they show is not good.
    TooMany
        If they tried too often.
    """
    if "actor" not in g:
        g.actor = _identified() if services().settings.LOGIN_REQUIRED else LOCAL
    found: Actor = g.actor
    return found


def _identified() -> Actor:
    if "Authorization" not in request.headers:
        return NOBODY
    shown = request.authorization
    if shown is not None and shown.type == "bearer" and shown.token:
        return services().accounts.actor(shown.token)
    return actor_of(user_of(shown))


def user_of(shown: Authorization | None) -> Document:
    """The user whose address and password came as HTTP Basic; `Unauthorized` if they are wrong."""
    if "Authorization" not in request.headers:
        raise Unauthorized("Send your mail address and your password by HTTP Basic: curl -u.")
    if shown is None or shown.type != "basic" or not shown.username:
        raise Unauthorized(_UNKNOWN)
    return services().accounts.log_in(shown.username, shown.password or "", client_address())


def session_still_valid() -> Callable[[], bool]:
    """Tells, also after the request, whether who asks is still let in."""
    accounts, asking = services().accounts, actor()
    user = accounts.users.get(asking.id) if asking.id else None
    if user is None:
        return lambda: asking is LOCAL
    shown = request.authorization
    token = shown.token or "" if shown and asking.scopes is not None else None

    def check() -> bool:
        now = accounts.users.get(asking.id) or {}
        same = now.get("active") and now.get("generation") == user["generation"]
        if token is None:
            return bool(same)
        return bool(now.get("active")) and accounts.users.token(token) is not None

    return check


def client_address() -> str:
    """Where a request comes from."""
    return request.remote_addr or ""


def owner_filter() -> Document:
    """What holds for everything that who asks may touch."""
    return visibility_filter(actor())


def stored_data() -> StoredData:
    """The stored data that who asks may see."""
    return services().data.for_owner(actor().id, owner_filter())


def own_datafiles() -> DataFiles:
    """The data files of who asks."""
    return services().datafiles.for_owner(actor().id)


def is_stranger(document: Document) -> bool:
    """Whether who asks sees a document only because it is public."""
    asking = actor()
    if asking is LOCAL or asking.is_at_least(Role.ADMIN):
        return False
    return bool(document.get("_owner") != asking.id)
