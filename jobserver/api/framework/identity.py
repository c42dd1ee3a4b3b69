"""The current request: the server that answers it, its sender, and what they may access."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from socket import MSG_DONTWAIT, MSG_PEEK, socket
from ssl import SSLSocket
from typing import TYPE_CHECKING

from flask import Request, current_app, g, request
from werkzeug.datastructures import Authorization

from jobserver.api.framework.client_address import networks, real_client
from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import Unauthorized
from jobserver.storage.database import Document
from jobserver.storage.documents import OWNER
from jobserver.system.logs import add_ids
from jobserver.users.accounts import actor_of
from jobserver.users.policy import LOCAL, NOBODY, Actor, Role, visibility_filter
from jobserver.users.tokens import is_personal
from jobserver.users.user import User

if TYPE_CHECKING:
    from jobserver.server.services import Services

#: Where a Flask application holds its `Services`.
KEY = "jobserver"
#: Cookie with the access token of a login on a page; scripts of pages cannot read it.
SESSION_COOKIE = "jobserver_session"
_MALFORMED = "The Authorization header is malformed. Send 'Basic ...' or 'Bearer <token>'."


class JobserverRequest(Request):
    """A request whose malformed credentials are none, instead of an error of the server."""

    @property
    def authorization(self) -> Authorization | None:
        """The credentials that were sent; None if there are none, or they cannot be read."""
        try:
            return super().authorization
        except ValueError:  # Basic that is not ASCII
            return None


def services() -> Services:
    """Return the parts of the server that answers this request."""
    parts: Services = current_app.extensions[KEY]
    return parts


def client_is_gone() -> Callable[[], bool]:
    """Return a function that checks, even after the request, whether its client has gone.

    Only waitress and gunicorn, without TLS of its own, can say so.
    """
    check: Callable[[], bool] | None = request.environ.get("waitress.client_disconnected")
    connection = request.environ.get("gunicorn.socket")
    if check is None and isinstance(connection, socket) and not isinstance(connection, SSLSocket):
        return partial(_is_closed, connection)
    return check or bool


def _is_closed(connection: socket) -> bool:
    try:
        return not connection.recv(1, MSG_PEEK | MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def actor() -> Actor:
    """Return who sent the request, authenticated once.

    Raises
    ------
    Unauthorized
        If the credentials are invalid.
    TooMany
        After too many attempts.
    """
    if "actor" not in g:
        g.actor = _authenticated() if services().settings.LOGIN_REQUIRED else LOCAL
        add_ids(user=g.actor.id)
    found: Actor = g.actor
    return found


def _authenticated() -> Actor:
    if "Authorization" not in request.headers:
        return _of_session()
    sent = request.authorization
    if sent is not None and sent.type == "bearer" and sent.token:
        return services().accounts.actor(sent.token)
    return actor_of(log_in_basic(sent))


def _of_session() -> Actor:
    """Return who is logged in on pages; a cookie whose login has ended counts as none."""
    try:
        return services().accounts.actor(token) if (token := session_token()) else NOBODY
    except Unauthorized:
        return NOBODY


def session_token() -> str:
    """Return the token in the cookie of a login on a page; empty if other credentials were sent.

    Personal tokens are for programs: in a cookie, which other servers of a site can set, they
    would be a login that never ends.
    """
    token = request.cookies.get(SESSION_COOKIE, "")
    return "" if "Authorization" in request.headers or is_personal(token) else token


def log_in_basic(sent: Authorization | None) -> User:
    """Return the user who sent HTTP Basic; `Unauthorized` if address or password is wrong."""
    if "Authorization" not in request.headers:
        raise Unauthorized("Send your email address and password with HTTP Basic: curl -u.")
    if sent is None or sent.type != "basic" or not sent.username:
        raise Unauthorized(_MALFORMED)
    return services().accounts.log_in(sent.username, sent.password or "", client_address())


def session_still_valid() -> Callable[[], bool]:
    """Return a function that checks, even after the request, that the session is still valid."""
    accounts, sender = services().accounts, actor()
    user = accounts.users.get(sender.id) if sender.id else None
    if user is None:
        return lambda: sender is LOCAL
    sent = request.authorization
    token = sent.token or "" if sent and sender.scopes is not None else None

    def check() -> bool:
        now = accounts.users.get(sender.id)
        if now is None or not now.active:
            return False
        if token is None:
            return now.generation == user.generation
        return now.role is user.role and accounts.users.token(token) is not None

    return check


def client_address() -> str:
    """Return the address that limits count the request for; see `real_client`."""
    trusted = networks(services().settings.TRUSTED_PROXIES)
    forwarded = request.headers.getlist("X-Forwarded-For")
    return real_client(request.remote_addr or "", forwarded, trusted)


def owner_filter() -> Document:
    """Return the filter that selects what the sender may access."""
    return visibility_filter(actor())


def stored_data() -> StoredData:
    """Return the stored data that the sender may access."""
    return services().data.for_owner(actor().id, owner_filter())


def own_datafiles() -> DataFiles:
    """Return the data files of the sender."""
    return services().datafiles.for_owner(actor().id)


def is_stranger(document: Document) -> bool:
    """Whether the sender may read a document only because it is public."""
    sender = actor()
    if sender is LOCAL or sender.is_at_least(Role.ADMIN):
        return False
    return bool(document.get(OWNER) != sender.id)
