"""The stored users: address, role, quotas, and their personal tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from jobserver.errors import Conflict, NotFound
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document
from jobserver.users.policy import Role, Scope
from jobserver.users.tokens import fingerprint, new_token
from jobserver.users.user import User

MOST_TOKENS = 50


class Users:
    """The users of one database.

    Parameters
    ----------
    database : Database
        Holds the users.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._users = database["users"]
        self._tokens = database["tokens"]

    def add(self, email: str, password: str, role: Role, user_id: ObjectId | None = None) -> User:
        """Store a new user, whose address is known to be theirs, and return it.

        Parameters
        ----------
        email : str
            As `jobserver.mail.normalize_address` returns it.
        password : str
            Hash of the password.
        user_id : ObjectId, optional
            Their id; a new one by default.

        Raises
        ------
        Conflict
            If another user has the address.
        """
        user = User(id=user_id or ObjectId(), email=email, password=password, role=role)
        if not self.database.insert("users", user.to_document()):
            raise Conflict(f"There is already a user {email}.")
        return user

    def get(self, user_id: object) -> User | None:
        """Return a user by id, or None."""
        return self._find({"_id": user_id})

    def by_email(self, email: str) -> User | None:
        """Return a user by address, or None."""
        return self._find({"email": email})

    def _find(self, query: Document) -> User | None:
        found = self.database.call(self._users.find_one, query)
        return None if found is None else User.from_document(found)

    def list(self) -> Iterator[User]:
        """Yield all users, oldest first."""
        found = self.database.find("users", {}, sort=[("_id", 1)])
        yield from map(User.from_document, found)

    def page(self, most: int, text: str = "", after: ObjectId | None = None) -> Iterator[User]:
        """Yield the next users, oldest first, whose address contains a text in lower case."""
        query: Document = {"email": {"$regex": re.escape(text)}} if text else {}
        if after:
            query["_id"] = {"$gt": after}
        found = self.database.find("users", query, sort=[("_id", 1)], limit=most)
        yield from map(User.from_document, found)

    def change(
        self, user_id: ObjectId, guard: Mapping[str, object], values: Mapping[str, object]
    ) -> bool:
        """Change a user who still matches the guard; return whether this call changed it.

        Raises
        ------
        Conflict
            If another user has the address.
        """
        change = ObjectId()
        query, update = {"_id": user_id, **guard}, {"$set": {**values, "change": change}}
        try:
            done = self.database.call(self._users.update_one, query, update)
        except DuplicateKeyError as error:
            raise Conflict("Another user has this address.") from error
        if done.modified_count:
            return True
        seen = {"_id": user_id, "change": change}
        return self.database.call(self._users.find_one, seen, {"_id": 1}) is not None

    def revoke(self, user_id: ObjectId, **values: object) -> None:
        """Change a user, and revoke all their logins and links.

        Raises
        ------
        NotFound
            If there is no such user.
        """
        while (user := self.get(user_id)) is not None:
            guard = {"generation": user.generation}
            if self.change(user_id, guard, {**values, "generation": user.generation + 1}):
                return
        raise NotFound(f"There is no user {user_id}.")

    def remove(self, user_id: ObjectId) -> None:
        """Delete a user and their tokens."""
        self.drop_tokens(user_id)
        self.database.call(self._users.delete_one, {"_id": user_id})

    def make_token(self, user: User, name: str, scopes: Iterable[Scope]) -> tuple[Document, str]:
        """Create a personal token; return its stored document, and the token, which is not stored.

        It has the user's present role, and keeps it when they are promoted.

        Raises
        ------
        Conflict
            If the user has too many tokens.
        """
        if len(list(self.tokens(user.id))) >= MOST_TOKENS:
            raise Conflict(f"You already have {MOST_TOKENS} tokens. Delete one first.")
        token = new_token()
        document = {
            "_id": fingerprint(token),
            "key": ObjectId(),
            "user": user.id,
            "name": name,
            "scopes": sorted({scope.value for scope in scopes}),
            "role": user.role.value,
            "created": utcnow(),
        }
        self.database.insert("tokens", document)
        return document, token

    def tokens(self, user_id: ObjectId) -> Iterator[Document]:
        """Yield the stored documents of a user's tokens."""
        yield from self.database.find("tokens", {"user": user_id})

    def token(self, token: str) -> Document | None:
        """Return the stored document of a token, or None."""
        return self.database.call(self._tokens.find_one, {"_id": fingerprint(token)})

    def drop_token(self, user_id: ObjectId, key: object) -> None:
        """Delete a token; `NotFound` if the user has none with this id."""
        found = [entry for entry in self.tokens(user_id) if entry["key"] == key]
        if not found:
            raise NotFound(f"There is no token {key}.")
        self.database.call(self._tokens.delete_one, {"_id": found[0]["_id"]})

    def drop_tokens(self, user_id: ObjectId) -> None:
        """Delete all tokens of a user."""
        self.database.call(self._tokens.delete_many, {"user": user_id})


def shown_token(token: Mapping[str, object]) -> Document:
    """Return a token as lists show it."""
    shown = ("name", "scopes", "role", "created")
    return {"_id": token["key"], **{name: token[name] for name in shown}}
