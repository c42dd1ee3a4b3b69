"""Passwords that were right a moment ago."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict

_MOST = 1000
_SECONDS = 60.0

#: The hash of a user's password, and where they log in from.
_Key = tuple[str | None, str]


class Remembered:
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
