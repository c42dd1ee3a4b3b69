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


class Remembered:
    """Lets HTTP Basic send a password with each request without hashing it each time.

    Only keyed digests are kept, under the hash of the password: it changes with the password.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, float] = OrderedDict()

    def holds(self, hashed: str | None, password: str) -> bool:
        """Whether a password was right for a hash a moment ago."""
        with self._lock:
            since = self._kept.get(self._digest(hashed, password), -_SECONDS)
            return time.monotonic() - since < _SECONDS

    def add(self, hashed: str | None, password: str) -> None:
        """A password was right."""
        with self._lock:
            self._kept[self._digest(hashed, password)] = time.monotonic()
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def _digest(self, hashed: str | None, password: str) -> bytes:
        text = f"{hashed}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).digest()
