"""Passwords: what one may be, and how they are kept, which is hashed with argon2id."""

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
#: Cost of one hash, as OWASP advises for argon2id: 19 MiB, two passes, one lane.
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
#: How long a request waits for its turn to hash.
_WAIT_SECONDS = 10.0
_MOST = 1000
_SECONDS = 60.0
#: The hash of a user's password, and where they log in from.
_Key = tuple[str | None, str]


class Passwords:
    """Hashes passwords, few at a time: logins must not take the processor from everything else."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))

    def hash(self, password: str) -> str:
        """A password as it is kept.

        Raises
        ------
        BadRequest
            If it is too short or too long.
        Unavailable
            If too many are being hashed.
        """
        check_password(password)
        with self._place():
            return self._hasher.hash(_normal(password))

    def verify(self, password: str, kept: str | None) -> bool:
        """Whether a password is the one that is kept; it takes as long where none is kept.

        Raises
        ------
        Unavailable
            If too many are being hashed.
        """
        from argon2.exceptions import InvalidHashError, VerificationError

        with self._place():
            try:
                self._hasher.verify(kept or self._nobodys, _normal(password[: LONGEST + 1]))
            except (InvalidHashError, VerificationError):
                return False
        return kept is not None

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher(_PASSES, _MEMORY_KIB, _LANES)

    @cached_property
    def _nobodys(self) -> str:
        """The hash of a password that nobody knows."""
        return self._hasher.hash(os.urandom(32))

    def prepare(self) -> None:
        """Make ready what the first login would have to wait for."""
        self._nobodys  # noqa: B018 - it is kept

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise Unavailable("Too many log in at once. Try again in a moment.", retry_after=5)
        try:
            yield
        finally:
            self._places.release()


def check_password(password: object, field: str = "password") -> None:
    """Refuse what cannot be a password; `BadRequest`."""
    if not isinstance(password, str) or not SHORTEST <= len(password) <= LONGEST:
        text = f"has to have {SHORTEST} to {LONGEST} characters"
        raise BadRequest(f"A password {text}.", [Problem(field, text)])


def _normal(password: str) -> bytes:
    """The same bytes for the same characters, whatever keyboard they come from."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


class PasswordCache:
    """Lets HTTP Basic send a password with each request without hashing it each time.

    Only a keyed digest is kept, for one place that requests come from and one hash, so that it ends
    with a change of the password. A wrong password from there ends it too: nobody gets to guess
    past the limit of attempts.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[bytes, float]] = OrderedDict()

    def holds(self, hashed: str | None, place: str, password: str) -> bool:
        """Whether a password was right a moment ago; if not, nothing is remembered any more."""
        key, digest = (hashed, place), self._digest(password)
        with self._lock:
            kept, since = self._kept.get(key, (b"", 0.0))
            if hmac.compare_digest(kept, digest) and time.monotonic() - since < _SECONDS:
                return True
            self._kept.pop(key, None)
        return False

    def add(self, hashed: str | None, place: str, password: str) -> None:
        """A password was right."""
        with self._lock:
            self._kept[hashed, place] = (self._digest(password), time.monotonic())
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def _digest(self, password: str) -> bytes:
        text = password.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).digest()
