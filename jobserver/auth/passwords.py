"""Passwords: what one may be, and how they are kept, which is hashed with argon2id."""

from __future__ import annotations

import os
import threading
import unicodedata
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

    def fits(self, password: str, kept: str | None) -> bool:
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
