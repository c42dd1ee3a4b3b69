"""What users do with their accounts: register, activate, log in, change, make tokens.

Neither an answer nor its time reveals whether an address is known: a password is hashed or compared
in any case, and mails are sent later.
"""

from __future__ import annotations

from functools import cached_property

from bson import ObjectId

from jobserver.data.files import DataFiles
from jobserver.data.stored import StoredData
from jobserver.errors import BadRequest, Conflict, Forbidden, Unauthorized
from jobserver.home.secret_key import secret_key
from jobserver.home.settings import Settings
from jobserver.jobs.job import ACTIVE
from jobserver.jobs.store import Jobs
from jobserver.mail import Outbox, normalize_address
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import OWNER
from jobserver.users.passwords import PasswordCache, Passwords, check_password
from jobserver.users.policy import Actor, Role
from jobserver.users.rate_limits import RateLimiter
from jobserver.users.store import Users
from jobserver.users.tokens import USED, EmailLinks, TokenSigner, is_personal
from jobserver.users.user import User

_WINDOW = 300
#: Wrong passwords in a window: for one address and client, from one client; then, in an hour: mails
#: to an address, registrations from a client.
_LOGINS, _LOGINS_FROM, _MAILS, _REGISTERED_FROM = 100, 3000, 10, 1000
_WRONG = "The email address or the password is wrong, or the address is not confirmed yet."
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
        self._signer  # noqa: B018 - a cached property
        self.passwords.prepare()

    def register(self, email: object, password: object, client: str) -> None:
        """Add a user, who must then confirm the address by the link in a mail.

        Parameters
        ----------
        client : str
            Address the request comes from.
        """
        email = normalize_address(email)
        check_password(password)
        self._limiter.count("register", client, _REGISTERED_FROM, 3600)
        self._limiter.count("mail", email, _MAILS, 3600)
        hashed = self.passwords.hash(str(password))
        user = self.users.by_email(email)
        if user is None:
            try:
                user = self.users.add(email, hashed, Role.USER, confirmed=False)
            except Conflict:  # registered at the same time
                return
        elif not user.confirmed:
            # Revoke the links of an earlier registration, which may be somebody else's.
            self.users.revoke(user.id, password=hashed)
        self._send_link(email)

    def resend(self, email: object) -> None:
        """Send the link of a registration again, if the address is waiting for it."""
        email = normalize_address(email)
        self._limiter.count("mail", email, _MAILS, 3600)
        user = self.users.by_email(email)
        if user is not None and not user.confirmed:
            self._send_link(email)

    def _send_link(self, email: str) -> None:
        user = self.users.by_email(email)
        if user is None:
            return
        if user.confirmed:
            self.links.send_reset(user)
        else:
            self.links.send_activation(user, email)

    def activate(self, user_id: ObjectId, token: str) -> None:
        """Confirm the address of a registration, or a new one; the token works once.

        Raises
        ------
        BadRequest
            If the token is invalid or expired.
        Conflict
            If another user has the address by now.
        """
        claims = self.links.read("activate", token)
        if claims["user"] != str(user_id):
            raise BadRequest(USED)
        user = self.users.get(user_id)
        if user is None or (user.confirmed and not user.active):
            raise BadRequest(USED)
        values = {"email": claims["email"], "active": True, "confirmed": True}
        guard = {"generation": claims["of"]}
        if not self.users.change(user_id, guard, {**values, "generation": claims["of"] + 1}):
            raise BadRequest(USED)

    def ask_reset(self, email: object) -> None:
        """Send a link for choosing a new password, if the user exists."""
        email = normalize_address(email)
        self._limiter.count("mail", email, _MAILS, 3600)
        user = self.users.by_email(email)
        if user is not None and user.active:
            self.links.send_reset(user)

    def reset(self, token: str, password: object) -> None:
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
        values = {"password": self.passwords.hash(str(password)), "generation": claims["of"] + 1}
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
        attempts = [
            self._limiter.count("login", f"{email} {client}", _LOGINS, _WINDOW),
            self._limiter.count("login", client, _LOGINS_FROM, _WINDOW),
        ]
        if not self.passwords.verify(password, kept) or user is None or not user.active:
            raise Unauthorized(_WRONG)
        for attempt in attempts:
            self._limiter.give_back(attempt)
        self._cache.add(kept, client, password)
        return user

    def access_token(self, user: User) -> str:
        """Return a token for the user's login."""
        claims = {"user": str(user.id), "of": user.generation}
        return self._signer.sign("access", claims)

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
        return Actor(user.id, user.role, frozenset(kept["scopes"]))

    def change(self, user: User, fields: Document) -> str:
        """Change the password, start a change of address, and return what was done as a sentence.

        Raises
        ------
        BadRequest
            If the fields are invalid.
        Forbidden
            If the current password is wrong.
        """
        known = {"current_password", "password", "email"}
        wanted = fields.keys() - {"current_password"}
        if not wanted or fields.keys() - known:
            raise BadRequest("Send current_password with a new password, a new email, or both.")
        email = normalize_address(fields["email"]) if "email" in fields else None
        if "password" in fields:
            check_password(fields["password"])
        self._check_current(user, fields.get("current_password"))
        done = []
        if "password" in fields:
            self.users.revoke(user.id, password=self.passwords.hash(fields["password"]))
            self.users.drop_tokens(user.id)
            done.append("The password was changed; all logins and tokens have ended.")
        if email is not None:
            self._limiter.count("mail", email, _MAILS, 3600)
            current = self.users.get(user.id) or user
            if self.users.by_email(email) is None:
                self.links.send_activation(current, email)
            done.append("The address changes once the link in the mail sent to it is opened.")
        return " ".join(done)

    def _check_current(self, user: User, password: object) -> None:
        self._limiter.count("change", str(user.id), _LOGINS, _WINDOW)
        if not self.passwords.verify(str(password), user.password):
            raise Forbidden("The current_password is wrong.")


def actor_of(user: User) -> Actor:
    """Return a logged-in user as an actor."""
    return Actor(user.id, user.role)


def remove_user(
    user: User, users: Users, jobs: Jobs, data: StoredData, datafiles: DataFiles
) -> None:
    """Delete a user with all their jobs, data, data files and tokens.

    The user goes last, so an interrupted deletion can be repeated.

    Raises
    ------
    Conflict
        If any of their jobs is queued or running.
    """
    owner = user.id
    users.revoke(owner, active=False)  # blocks new jobs and files
    if _has_active(jobs, users, owner):
        users.revoke(owner, active=user.active)
        raise Conflict(
            "This user has queued or running jobs. Cancel them, or wait for them to end."
        )
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
