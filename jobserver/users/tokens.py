"""Tokens: signed ones for logins and mailed links, and personal ones."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from bson import ObjectId
from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from jobserver.errors import BadRequest
from jobserver.mail import Outbox
from jobserver.storage.clock import timestamp
from jobserver.storage.database import Document
from jobserver.users.user import User

_PERSONAL = "jst_"
LINK_SECONDS = 86400
USED = "This link has expired or was already used. Request a new one."


class _Signer(TimestampSigner):
    def get_timestamp(self) -> int:
        """Return the time that all servers of a database share."""
        return int(timestamp())


class TokenSigner:
    """Signs claims, and reads them back.

    Parameters
    ----------
    secret : str
        Secret key of the server.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @property
    def fingerprint(self) -> str:
        """What the key is known by, and cannot be derived from."""
        return hmac.new(self._secret.encode(), b"jobserver fingerprint", "sha256").hexdigest()

    def sign(self, purpose: str, claims: Document) -> str:
        """Return a token with claims, valid for one purpose."""
        return str(self._serializer(purpose).dumps(claims))

    def read(self, purpose: str, token: str, seconds: int) -> Document | None:
        """Return a token's claims; None if it is forged, expired or for another purpose."""
        try:
            claims = self._serializer(purpose).loads(token, max_age=seconds)
        except BadData:
            return None
        return claims if isinstance(claims, dict) else None

    def _serializer(self, purpose: str) -> URLSafeTimedSerializer:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeTimedSerializer(
            self._secret, salt=f"jobserver {purpose}", signer=_Signer, signer_kwargs=options
        )


def new_token() -> str:
    """Return a new random personal token."""
    return _PERSONAL + secrets.token_urlsafe(32)


def is_personal(token: str) -> bool:
    """Whether a token looks like a personal one."""
    return token.startswith(_PERSONAL)


def fingerprint(token: str) -> str:
    """Return a personal token as it is stored: it is random, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class EmailLinks:
    """Sends links by mail, and reads their tokens.

    A token of a user names their generation. Using it starts the next one, so it works once, and
    not after the user has changed the password. A token of a new account holds the address and the
    id that the account will have: nothing is stored before it is used.

    Parameters
    ----------
    signer : TokenSigner
        Signs the tokens.
    outbox : Outbox
        Sends the mails.
    """

    def __init__(self, signer: TokenSigner, outbox: Outbox) -> None:
        self._signer = signer
        self._outbox = outbox

    def send_activation(self, email: str, user: User | None = None) -> None:
        """Send a link that creates an account, or confirms a new address of a user."""
        claims: Document = {"user": str(user.id if user else ObjectId()), "email": email}
        if user:
            claims["of"] = user.generation
        token = self._signer.sign("activate", claims)
        url = f"/user/{claims['user']}/activate?token={token}"
        self._outbox.post(email, "activate", url=url, token=token)

    def send_reset(self, user: User) -> None:
        """Send a link for choosing a new password."""
        token = self._signer.sign("reset", {"user": str(user.id), "of": user.generation})
        url = f"/password/reset?token={token}"
        self._outbox.post(user.email, "reset", url=url, token=token)

    def read(self, purpose: str, token: str) -> Document:
        """Return a token's claims; `BadRequest` if it is invalid or expired."""
        claims = self._signer.read(purpose, token, LINK_SECONDS)
        if claims is None:
            raise BadRequest(USED)
        return claims
