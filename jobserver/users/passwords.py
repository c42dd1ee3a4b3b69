"""Passwords: which ones are allowed, and how they are hashed, with argon2id."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from jobserver.errors import BadRequest, Problem, Unavailable

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 256
#: Cost of a hash, as OWASP recommends for argon2id: 19 MiB, two passes, one lane.
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
#: Most requests that wait for their turn to hash, and how long: they occupy threads.
_WAITING, _WAIT_SECONDS = 8, 10.0
#: Entries of the cache, and how long they are valid.
_CACHED, _CACHE_SECONDS = 1000, 60.0
#: The hash of a user's password, and the client address of the login.
_Key = tuple[str | None, str]


class Passwords:
    """Hashes passwords, a few at a time, so that logins leave processor time for the rest."""

    def __init__(self) -> None:
        turns = max(1, (os.cpu_count() or 1) // 2)
        self._turns = threading.BoundedSemaphore(turns)
        self._places = threading.BoundedSemaphore(turns + _WAITING)

    def hash(self, password: str) -> str:
        """Return the hash of a password.

        Raises
        ------
        BadRequest
            If the password is too short or too long.
        Unavailable
            If too many passwords are being hashed.
        """
        check_password(password)
        with self._turn():
            return self._hasher.hash(_normal(password))

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether a password has this hash; takes the same time if there is no hash.

        Raises
        ------
        Unavailable
            If too many passwords are being hashed.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        with self._turn():
            try:
                self._hasher.verify(kept or self._dummy, _normal(password[: LONGEST + 1]))
            except (InvalidHashError, VerificationError):
                return False
        return kept is not None

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher(_PASSES, _MEMORY_KIB, _LANES)

    @cached_property
    def _dummy(self) -> str:
        """The hash of a password that nobody knows."""
        return self._hasher.hash(os.urandom(32))

    def prepare(self) -> None:
        """Do now what would delay the first login."""
        self._dummy  # noqa: B018 - a cached property

    @contextmanager
    def _turn(self) -> Iterator[None]:
        busy = Unavailable("Too many logins at the moment. Try again soon.", retry_after=5)
        if not self._places.acquire(blocking=False):
            raise busy
        try:
            if not self._turns.acquire(timeout=_WAIT_SECONDS):
                raise busy
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def check_password(password: object, field: str = "password") -> None:
    """Raise `BadRequest`, naming the field, unless a value can be a password."""
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        text = f"must have {SHORTEST} to {LONGEST} characters"
        raise BadRequest(f"A password {text}.", [Problem(field, text)])


def _normal(password: str) -> bytes:
    """Return the same bytes for the same characters, however the keyboard composes them."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


class PasswordCache:
    """Saves hashing the password that HTTP Basic sends with each request.

    It holds keyed digests, each for one client address and one password hash, so a change of the
    password invalidates it. So does a wrong password: nobody can guess past the rate limit.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[bytes, float]] = OrderedDict()

    def holds(self, hashed: str | None, client: str, password: str) -> bool:
        """Whether a password was right a moment ago; if not, forget the entry."""
        key, digest = (hashed, client), self._digest(password)
        with self._lock:
            kept, since = self._kept.get(key, (b"", 0.0))
            if hmac.compare_digest(kept, digest) and time.monotonic() - since < _CACHE_SECONDS:
                return True
            self._kept.pop(key, None)
        return False

    def add(self, hashed: str | None, client: str, password: str) -> None:
        """Remember a password that was right."""
        with self._lock:
            self._kept[hashed, client] = (self._digest(password), time.monotonic())
            while len(self._kept) > _CACHED:
                self._kept.popitem(last=False)

    def _digest(self, password: str) -> bytes:
        text = password.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).digest()
