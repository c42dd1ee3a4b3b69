"""What people do with their accounts: register, activate, log in, change, make tokens.

What is answered never tells whether an address is known, nor does the time it takes: a password is
hashed or compared in any case, and mails go out later.
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
from jobserver.mail import Outbox
from jobserver.storage.database import Database, Document
from jobserver.users import Actor, PasswordCache, Passwords, Role, TokenSigner, seems_personal
from jobserver.users.passwords import check_password
from jobserver.users.rate_limits import RateLimiter
from jobserver.users.store import Users, parse_address
from jobserver.users.tokens import USED, EmailLinks

_WINDOW = 300
#: Wrong passwords for an address and from a place in a window; mails and registrations in an hour.
_LOGINS, _LOGINS_FROM, _MAILS, _REGISTERED_FROM = 100, 3000, 10, 1000
_WRONG = "The address or the password is wrong, or the address was not activated yet."
_EXPIRED = "The token has expired or was revoked. Log in again."


class Accounts:
    """The accounts of one server.

    Parameters
    ----------
    database : Database
        Where users are kept.
    settings : Settings
        Of the server.
    outbox : Outbox
        Takes the mails.
    """

    def __init__(self, database: Database, settings: Settings, outbox: Outbox) -> None:
        self.users = Users(database)
        self.passwords = Passwords()
        self._outbox = outbox
        self._settings = settings
        self._attempts = RateLimiter(database)
        self._remembered = PasswordCache()

    @cached_property
    def _signer(self) -> TokenSigner:
        return TokenSigner(secret_key(self._settings))

    @cached_property
    def links(self) -> EmailLinks:
        """Sends links."""
        return EmailLinks(self._signer, self._outbox)

    def prepare(self) -> None:
        """Make ready what the first login would have to wait for, and find what is amiss.

        Raises
        ------
        SettingsError
            If no key can be kept.
        """
        self._signer  # noqa: B018 - it is kept
        self.passwords.prepare()

    def register(self, email: object, password: object, place: str) -> None:
        """Note a new user, who has to follow the link in a mail.

        Parameters
        ----------
        place : str
            Where the request comes from.
        """
        email = parse_address(email)
        check_password(password)
        self._attempts.check("register", place, _REGISTERED_FROM, 3600)
        self._attempts.check("mail", email, _MAILS, 3600)
        hashed = self.passwords.hash(str(password))
        user = self.users.at(email)
        if user is None:
            try:
                user = self.users.add(email, hashed, Role.USER, confirmed=False)
            except Conflict:  # at the same time
                return
        elif not user["confirmed"]:
            # Links of an earlier registration, perhaps somebody else's, are void from now on.
            self.users.revoke(user["_id"], password=hashed)
        self._send_link(email)

    def resend(self, email: object) -> None:
        """Send the link of a registration again."""
        email = parse_address(email)
        self._attempts.check("mail", email, _MAILS, 3600)
        user = self.users.at(email)
        if user is not None and not user["confirmed"]:
            self._send_link(email)

    def _send_link(self, email: str) -> None:
        user = self.users.at(email)
        if user is None:
            return
        if user["confirmed"]:
            self.links.send_reset(user)
        else:
            self.links.send_activation(user, email)

    def activate(self, user_id: ObjectId, token: str) -> None:
        """Confirm an address: that of a registration, or a new one; the token is used up.

        Raises
        ------
        BadRequest
            If the token is not good (any more).
        Conflict
            If another user has the address by now.
        """
        told = self.links.read("activate", token)
        if told["user"] != str(user_id):
            raise BadRequest(USED)
        user = self.users.get(user_id)
        if user is None or (user["confirmed"] and not user["active"]):
            raise BadRequest(USED)
        values = {"email": told["email"], "active": True, "confirmed": True}
        guard = {"generation": told["of"]}
        if not self.users.change(user_id, guard, {**values, "generation": told["of"] + 1}):
            raise BadRequest(USED)

    def ask_reset(self, email: object) -> None:
        """Send a link to choose a new password with."""
        email = parse_address(email)
        self._attempts.check("mail", email, _MAILS, 3600)
        user = self.users.at(email)
        if user is not None and user["active"]:
            self.links.send_reset(user)

    def reset(self, token: str, password: object) -> None:
        """Set a new password by a token that was mailed; it is used up.

        Raises
        ------
        BadRequest
            If the token is not good (any more), or the password cannot be one.
        """
        check_password(password)
        told = self.links.read("reset", token)
        user_id = ObjectId(told["user"])
        guard = {"generation": told["of"], "active": True}
        values = {"password": self.passwords.hash(str(password)), "generation": told["of"] + 1}
        if not self.users.change(user_id, guard, values):
            raise BadRequest(USED)
        self.users.drop_tokens(user_id)

    def log_in(self, email: str, password: str, place: str) -> Document:
        """The user who has this address and password.

        Raises
        ------
        Unauthorized
            If there is none.
        TooMany
            If it was tried too often.
        """
        email = email.strip().lower()
        user = self.users.at(email if email.isascii() else "")
        kept = user["password"] if user else None
        if user and user["active"] and self._remembered.holds(kept, place, password):
            return user
        tries = [
            self._attempts.check("login", f"{email} {place}", _LOGINS, _WINDOW),
            self._attempts.check("login", place, _LOGINS_FROM, _WINDOW),
        ]
        if not self.passwords.verify(password, kept) or user is None or not user["active"]:
            raise Unauthorized(_WRONG)
        for one in tries:
            self._attempts.give_back(one)
        self._remembered.add(kept, place, password)
        return user

    def access_token(self, user: Document) -> str:
        """A token that stands for a login."""
        told = {"user": str(user["_id"]), "of": user["generation"]}
        return self._signer.sign("access", told)

    def actor(self, token: str) -> Actor:
        """Who shows a token; `Unauthorized` if it is not good (any more)."""
        if seems_personal(token):
            return self._program(token)
        told = self._signer.read("access", token, self._settings.ACCESS_TOKEN_LIFESPAN)
        user = self.users.get(ObjectId(told["user"])) if told else None
        if not told or not user or not user["active"] or user["generation"] != told["of"]:
            raise Unauthorized(_EXPIRED)
        return actor_of(user)

    def _program(self, token: str) -> Actor:
        kept = self.users.token(token)
        user = self.users.get(kept["user"]) if kept else None
        if not kept or not user or not user["active"]:
            raise Unauthorized("The token is unknown or was deleted. Make a new one.")
        return Actor(user["_id"], Role(user["role"]), frozenset(kept["scopes"]))

    def change(self, user: Document, fields: Document) -> str:
        """Change the password, or begin to change the address; what was done.

        Raises
        ------
        BadRequest, Forbidden
            If the fields cannot be, or the present password is wrong.
        """
        known = {"current_password", "password", "email"}
        wanted = fields.keys() - {"current_password"}
        if not wanted or fields.keys() - known:
            raise BadRequest("Send current_password with a new password, a new email, or both.")
        email = parse_address(fields["email"]) if "email" in fields else None
        if "password" in fields:
            check_password(fields["password"])
        self._check_present(user, fields.get("current_password"))
        said = []
        if "password" in fields:
            self.users.revoke(user["_id"], password=self.passwords.hash(fields["password"]))
            self.users.drop_tokens(user["_id"])
            said.append("The password was changed; all logins and tokens have ended.")
        if email is not None:
            self._attempts.check("mail", email, _MAILS, 3600)
            current = self.users.get(user["_id"]) or user
            if self.users.at(email) is None:
                self.links.send_activation(current, email)
            said.append("The address changes once the link in the mail to it is opened.")
        return " ".join(said)

    def _check_present(self, user: Document, password: object) -> None:
        self._attempts.check("change", str(user["_id"]), _LOGINS, _WINDOW)
        if not self.passwords.verify(str(password), user["password"]):
            raise Forbidden("The current_password is wrong.")


def actor_of(user: Document) -> Actor:
    """A user who is logged in."""
    return Actor(user["_id"], Role(user["role"]))


def remove_user(
    user: Document, users: Users, jobs: Jobs, data: StoredData, datafiles: DataFiles
) -> None:
    """Delete a user with all their jobs, data, data files and tokens.

    It can be done again where it was cut off: the user themselves goes last.

    Raises
    ------
    Conflict
        If jobs of theirs are queued or running.
    """
    owner: ObjectId = user["_id"]
    users.revoke(owner, active=False)  # from here on nothing new comes
    if _has_active(jobs, owner):
        users.revoke(owner, active=user["active"])
        raise Conflict("Jobs of this user are queued or running. Cancel them, or wait.")
    jobs.delete_all(owner)
    mine = data.for_owner(owner)
    for stored in list(mine.list()):
        mine.delete(stored["_id"])
    datafiles.for_owner(owner).delete_all()
    users.remove(owner)


def _has_active(jobs: Jobs, owner: ObjectId) -> bool:
    """Whether jobs of a user are queued or running, or about to be."""
    jobs.quotas.reconcile(owner)
    states = [{"_owner": owner, "state": state.value} for state in ACTIVE]
    found = (jobs.database.find("jobs", query, projection=["_id"]) for query in states)
    user = jobs.database.call(jobs.database["users"].find_one, {"_id": owner}, {"open": 1})
    return any(list(each) for each in found) or bool(user and user["open"])
