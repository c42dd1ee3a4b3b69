"""What users do with their accounts: register, activate, log in, change, make tokens.

Neither an answer nor its time reveals whether an address is known: a password is compared in any
case, and any address gets a mail, which is sent later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from bson import ObjectId

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import BadRequest, Conflict, Forbidden, Problem, Unauthorized
from jobserver.home.secret_key import secret_key
from jobserver.home.settings import Settings
from jobserver.jobs.job import ACTIVE
from jobserver.jobs.store import Jobs
from jobserver.mail import Outbox, normalize_address
from jobserver.storage import duties
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER
from jobserver.users.passwords import PasswordCache, Passwords, check_password
from jobserver.users.policy import Actor, Role, rank
from jobserver.users.rate_limits import RateLimiter
from jobserver.users.store import Users
from jobserver.users.tokens import USED, EmailLinks, TokenSigner, is_personal
from jobserver.users.user import User

log = logging.getLogger(__name__)

#: Where the database keeps what the last secret key is known by.
_KEY = "secret key"
_WINDOW = 300
#: Wrong passwords in a window, from clients that never logged in to the account: from one client
#: for one account, from one client, for one account from all of them.
_LOGINS, _LOGINS_FROM, _LOGINS_TO = 100, 3000, 1000
#: Wrong passwords in a window from a client that logged in before; those of others do not count.
_LOGINS_KNOWN, _KNOWN_SECONDS = 1000, 30 * 86400
#: In an hour: mails to an address, from one client and from all of them, so that no stranger uses
#: up those of its owner; requests for mails from a client.
_HOUR, _MAILS, _MAILS_TO, _REGISTERED_FROM = 3600, 10, 50, 1000
_WRONG = "The email address or the password is wrong, or the account is not activated yet."
_EXPIRED = "The token has expired or was revoked. Log in again."


class Accounts:
    """The accounts of one server.

    Parameters
    ----------
    database : Database
        Holds the users.
    settings : Settings
        Settings of the server.
    outbox : Outbox
        Sends the mails.
    """

    def __init__(self, database: Database, settings: Settings, outbox: Outbox) -> None:
        self.users = Users(database)
        self.passwords = Passwords()
        self._outbox = outbox
        self._settings = settings
        self._limiter = RateLimiter(database)
        self._cache = PasswordCache()

    @cached_property
    def _signer(self) -> TokenSigner:
        return TokenSigner(secret_key(self._settings))

    @cached_property
    def links(self) -> EmailLinks:
        """The links that are mailed to users."""
        return EmailLinks(self._signer, self._outbox)

    def prepare(self) -> None:
        """Do now what would delay the first login, and find problems early.

        Raises
        ------
        SettingsError
            If the secret key cannot be read or stored.
        """
        self._note_key()
        self.passwords.prepare()

    def _note_key(self) -> None:
        """Warn if a server with another secret key has used this database last."""
        own = self._signer.fingerprint
        if duties.exchange(self.users.database, _KEY, own) not in (None, own):
            log.warning(
                "SECRET_KEY differs from that of the server that used this database last, and "
                "logins and mailed links are valid only where the key is the same: set one key "
                "for all servers of a database."
            )

    def send_link(self, email: str, client: str) -> None:
        """Send a link to an address: to choose a password, and so create an account if it has none.

        Parameters
        ----------
        client : str
            Address the request comes from.

        Raises
        ------
        BadRequest
            If the address is invalid.
        TooMany
            After too many requests.
        """
        email = normalize_address(email)
        self._limiter.count("register", client, _REGISTERED_FROM, _HOUR)
        self._count_mail(email, client)
        user = self.users.by_email(email)
        if user is None:
            self.links.send_activation(email)
        else:
            self.links.send_reset(user)

    def activate(self, user_id: ObjectId, token: str, password: str | None) -> str:
        """Create an account, or confirm a user's new address; return what was done as a sentence.

        Parameters
        ----------
        token : str
            From the mail; it works once.
        password : str or None
            Of the new account.

        Raises
        ------
        BadRequest
            If the token is invalid or expired, or the password is missing or does not belong here.
        Conflict
            If another user has the new address by now.
        """
        claims = self.activation(user_id, token)
        if "of" not in claims:
            self._create(user_id, claims["email"], password)
            return "The account is active. Log in."
        if password is not None:
            problem = Problem("password", "does not belong here: the account has one")
            raise BadRequest("This link confirms an address. Send its token alone.", [problem])
        guard = {"generation": claims["of"], "active": True}
        values = {"email": claims["email"], "generation": claims["of"] + 1}
        if not self.users.change(user_id, guard, values):
            raise BadRequest(USED)
        return "The email address is confirmed; all logins have ended. Log in."

    def activation(self, user_id: ObjectId, token: str) -> Document:
        """Return the claims of a token for `activate`; `BadRequest` if it is invalid or expired."""
        claims = self.links.read("activate", token)
        if claims["user"] != str(user_id):
            raise BadRequest(USED)
        return claims

    def _create(self, user_id: ObjectId, email: str, password: str | None) -> None:
        check_password(password)
        if self.users.by_email(email):
            raise BadRequest(USED)
        try:
            self.users.add(email, self.passwords.hash(str(password)), Role.USER, user_id)
        except Conflict as error:  # the link was used twice at the same time
            raise BadRequest(USED) from error

    def reset(self, token: str, password: str) -> None:
        """Set a new password with the token of a mail, which works once.

        Raises
        ------
        BadRequest
            If the token is invalid or expired, or the password is too short or too long.
        """
        check_password(password)
        claims = self.links.read("reset", token)
        user_id = ObjectId(claims["user"])
        guard = {"generation": claims["of"], "active": True}
        values = {"password": self.passwords.hash(password), "generation": claims["of"] + 1}
        if not self.users.change(user_id, guard, values):
            raise BadRequest(USED)
        self.users.drop_tokens(user_id)

    def log_in(self, email: str, password: str, client: str) -> User:
        """Return the user with this address and password.

        Raises
        ------
        Unauthorized
            If there is none.
        TooMany
            After too many attempts.
        """
        email = email.strip().lower()
        user = self.users.by_email(email if email.isascii() else "")
        kept = user.password if user else None
        if user and user.active and self._cache.holds(kept, client, password):
            return user
        known = self._limiter.knows("known", f"{email} {client}")
        with self._attempt(*_login_limits(email, client, known)):
            if not self.passwords.verify(password, kept) or user is None or not user.active:
                raise Unauthorized(_WRONG)
        if not known:
            self._limiter.remember("known", f"{email} {client}", _KNOWN_SECONDS)
        self._cache.add(kept, client, password)
        return user

    @contextmanager
    def _attempt(self, *limits: tuple[str, str, int]) -> Iterator[None]:
        """Count an attempt with a password; only a wrong one stays counted, not a busy server."""
        counted: list[str] = []
        try:
            for limit in limits:
                counted.append(self._limiter.count(*limit, _WINDOW))
            yield
        except (Unauthorized, Forbidden):
            counted.clear()
            raise
        finally:
            for attempt in counted:
                self._limiter.give_back(attempt)

    def _count_mail(self, email: str, client: str) -> None:
        self._limiter.count("mail", f"{email} {client}", _MAILS, _HOUR)
        self._limiter.count("mail", email, _MAILS_TO, _HOUR)

    def access_token(self, user: User) -> str:
        """Return a token for the user's login."""
        claims = {"user": str(user.id), "of": user.generation}
        return self._signer.sign("access", claims)

    def renewed(self, token: str) -> str | None:
        """Return a new token for a valid login that has lasted half of its time; else None."""
        lifespan = self._settings.ACCESS_TOKEN_LIFESPAN
        if self._signer.read("access", token, lifespan // 2):
            return None
        claims = self._signer.read("access", token, lifespan)
        return self._signer.sign("access", claims) if claims else None

    def actor(self, token: str) -> Actor:
        """Return whose token this is; `Unauthorized` if it is invalid or expired."""
        if is_personal(token):
            return self._token_actor(token)
        claims = self._signer.read("access", token, self._settings.ACCESS_TOKEN_LIFESPAN)
        user = self.users.get(ObjectId(claims["user"])) if claims else None
        if not claims or not user or not user.active or user.generation != claims["of"]:
            raise Unauthorized(_EXPIRED)
        return actor_of(user)

    def _token_actor(self, token: str) -> Actor:
        kept = self.users.token(token)
        user = self.users.get(kept["user"]) if kept else None
        if not kept or not user or not user.active:
            raise Unauthorized("The token is unknown or was deleted. Create a new one.")
        role = min(user.role, Role(kept.get("role", Role.USER)), key=rank)
        return Actor(user.id, role, frozenset(kept["scopes"]))

    def change(self, user: User, current: str, password: str | None, email: str | None) -> str:
        """Change the password, start a change of address, and return what was done as a sentence.

        Parameters
        ----------
        current : str
            The current password.
        password, email : str or None
            What to change.

        Raises
        ------
        BadRequest
            If there is nothing to change, or it is invalid.
        Forbidden
            If the current password is wrong.
        """
        if password is None and email is None:
            raise BadRequest("Send current_password with a new password, a new email, or both.")
        email = None if email is None else normalize_address(email)
        if password is not None:
            check_password(password)
        self._check_current(user, current)
        done = []
        if password is not None:
            self.users.revoke(user.id, password=self.passwords.hash(password))
            self.users.drop_tokens(user.id)
            done.append("The password was changed; all logins and tokens have ended.")
        if email is not None:
            self._count_mail(email, str(user.id))
            if other := self.users.by_email(email):  # its owner gets to know, the sender does not
                self.links.send_reset(other)
            else:
                self.links.send_activation(email, self.users.get(user.id) or user)
            done.append("The address changes once it is confirmed by the link in the mail to it.")
        return " ".join(done)

    def manage(self, user: User, values: Mapping[str, Any]) -> User:
        """Change the role and quotas of a user, as read before. A new role ends their logins.

        Raises
        ------
        Conflict
            If no superuser would be left, or the user was changed meanwhile.
        """
        is_new_role = values.get("role", user.role) is not user.role
        if is_new_role:
            check_superuser_besides(self.users, user)
        changed = replace(user, **values, generation=user.generation + is_new_role)
        document, before = changed.to_document(), user.to_document()
        guard = {name: before[name] for name in ("role", "generation")}
        update = {name: document[name] for name in (*values, "generation")}
        if not self.users.change(user.id, guard, update):
            raise Conflict("The user was changed at the same time. Read it, and try again.")
        if is_new_role:
            try:
                check_superuser_besides(self.users, user)
            except Conflict:  # the other one was demoted at the same time
                former = {name: before[name] for name in update}
                if not self.users.change(user.id, {"generation": changed.generation}, former):
                    self.users.revoke(user.id, **{name: before[name] for name in values})
                raise
        return self.users.get(user.id) or changed

    def _check_current(self, user: User, password: str) -> None:
        with self._attempt(("change", str(user.id), _LOGINS)):
            if not self.passwords.verify(password, user.password):
                raise Forbidden("The current_password is wrong.")


def _login_limits(email: str, client: str, known: bool) -> list[tuple[str, str, int]]:
    """Return what each attempt to log in counts for, and how often it may be wrong."""
    pair = f"{email} {client}"
    if known:
        return [("known client", pair, _LOGINS_KNOWN)]
    of_strangers = ("login", client, _LOGINS_FROM), ("account", email, _LOGINS_TO)
    return [("login", pair, _LOGINS), *of_strangers]


def actor_of(user: User) -> Actor:
    """Return a logged-in user as an actor."""
    return Actor(user.id, user.role)


def check_superuser_besides(users: Users, user: User) -> None:
    """Raise `Conflict` if a user is a superuser, and no other one can log in."""
    if user.role is not Role.SUPERUSER:
        return
    others = (each for each in users.list() if each.id != user.id and each.active)
    if not any(each.role is Role.SUPERUSER for each in others):
        raise Conflict(f"{user.email} is the only superuser. Give the role to another user first.")


def remove_user(
    user: User, users: Users, jobs: Jobs, data: StoredData, datafiles: DataFiles
) -> None:
    """Delete a user with all their jobs, data, data files and tokens.

    The user goes last, so an interrupted deletion can be repeated.

    Raises
    ------
    Conflict
        If any of their jobs is queued or running, or they are the only superuser.
    """
    owner = user.id
    check_superuser_besides(users, user)
    users.revoke(owner, active=False)  # blocks new jobs and files
    try:
        check_superuser_besides(users, user)  # the other one may have gone at the same time
        if _has_active(jobs, users, owner):
            raise Conflict(
                "This user has queued or running jobs. Cancel them, or wait for them to end."
            )
    except Conflict:
        users.revoke(owner, active=user.active)
        raise
    jobs.delete_all(owner)
    mine = data.for_owner(owner)
    for stored in list(mine.list()):
        mine.delete(stored["_id"])
    datafiles.for_owner(owner).delete_all()
    users.remove(owner)


def _has_active(jobs: Jobs, users: Users, owner: ObjectId) -> bool:
    """Whether a user has jobs that are queued or running, or about to be."""
    jobs.quotas.reconcile(owner)
    states = [{OWNER: owner, "state": state.value} for state in ACTIVE]
    found = (jobs.database.find("jobs", query, projection=["_id"]) for query in states)
    user = users.get(owner)
    return any(list(each) for each in found) or bool(user and user.open)
