"""Tokens: signed ones that tell who logged in or whom a link is for, and personal ones."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

_PERSONAL = "jst_"


class Signer:
    """Signs what the server wants to be told again, and reads it.

    Parameters
    ----------
    secret : str
        Key of the server.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def sign(self, purpose: str, told: dict[str, Any]) -> str:
        """A token that tells something, good for one purpose."""
        return str(self._serializer(purpose).dumps(told))

    def read(self, purpose: str, token: str, seconds: int) -> dict[str, Any] | None:
        """What a token tells; None if it is forged, of another purpose or older than that."""
        try:
            told = self._serializer(purpose).loads(token, max_age=seconds)
        except BadData:
            return None
        return told if isinstance(told, dict) else None

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(
            self._secret, salt=f"jobserver {purpose}", signer_kwargs=options
        )


def new_token() -> str:
    """A personal token that cannot be guessed."""
    return _PERSONAL + secrets.token_urlsafe(32)


def seems_personal(token: str) -> bool:
    """Whether a token is of the form of personal ones."""
    return token.startswith(_PERSONAL)


def fingerprint(token: str) -> str:
    """A personal token as it is kept; it is random, so a plain hash tells nothing of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
