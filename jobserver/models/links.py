"""Links in mails: whoever opens one can read the mails to an address."""

from __future__ import annotations

from jobserver.auth import Signer
from jobserver.database import Document
from jobserver.errors import BadRequest
from jobserver.mail import Outbox

LINKS_LAST = 86400
USED = "This link has expired or was used already. Ask for a new one."


class Links:
    """Sends links, and reads their tokens.

    A token tells the generation of its user. Using it begins the next, so it is good for once, and
    not at all after the user changed their password.

    Parameters
    ----------
    signer : Signer
        Signs the tokens.
    outbox : Outbox
        Takes the mails.
    """

    def __init__(self, signer: Signer, outbox: Outbox) -> None:
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
