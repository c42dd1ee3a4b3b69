"""Tokens: signed ones that tell who logged in or whom a link is for, and personal ones."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from jobserver.errors import BadRequest
from jobserver.mail import Outbox
from jobserver.storage.database import Document

_PERSONAL = "jst_"
LINKS_LAST = 86400
USED = "This link has expired or was used already. Ask for a new one."


class TokenSigner:
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


class EmailLinks:
    """Sends links, and reads their tokens.

    A token tells the generation of its user. Using it begins the next, so it is good for once, and
    not at all after the user changed their password.

    Parameters
    ----------
    signer : TokenSigner
        Signs the tokens.
    outbox : Outbox
        Takes the mails.
    """

    def __init__(self, signer: TokenSigner, outbox: Outbox) -> None:
        self._signer = signer
        self._outbox = outbox

    def send_activation(self, user: Document, email: str) -> None:
        """Send a link that confirms an address of a user."""
        told = {"user": str(user["_id"]), "of": user["generation"], "email": email}
        token = self._signer.sign("activate", told)
        url = f"/user/{user['_id']}/activate?token={token}"
        self._outbox.post(email, "activate", url=url, token=token)

    def send_reset(self, user: Document) -> None:
        """Send a link to choose a new password with."""
        token = self._signer.sign("reset", {"user": str(user["_id"]), "of": user["generation"]})
        url = f"/password/reset?token={token}"
        self._outbox.post(user["email"], "reset", url=url, token=token)

    def read(self, purpose: str, token: str) -> Document:
        """What a token tells; `BadRequest` if it is not good (any more)."""
        told = self._signer.read(purpose, token, LINKS_LAST)
        if told is None:
            raise BadRequest(USED)
        return told
