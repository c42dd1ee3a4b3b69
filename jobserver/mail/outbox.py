"""The outbox: mails wait in the database until a server could send them.

A mail is a document with the time it is ``due``; `jobserver.mail.delivery` sends it. What was sent,
or given up, stays for some days as a mark without content: a mail that is stored again under the
same id is then not sent again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from email.utils import parseaddr
from typing import Any

from bson import ObjectId

from jobserver.errors import SettingsError, StoreUnavailable
from jobserver.home.settings import Settings
from jobserver.mail.delivery import BATCH, Delivery, MailServerAway
from jobserver.mail.messages import SUBJECTS, check_address, is_address
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

#: Seconds after which mails are found that another process stored.
POLL_SECONDS = 2.0
#: While the mail server is away the pause doubles, from the first to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
#: What a mail gets at the end, twice.
END_SECONDS = 1.0


def store(database: Database, mail_id: object, to: str, kind: str, values: Document) -> None:
    """Put a mail into the outbox, once, however often it is stored under its id.

    Parameters
    ----------
    mail_id : object
        Its id in the database.
    values : dict
        What the templates of its kind ask for.

    Raises
    ------
    BadRequest
        If the address is none.
    """
    if kind not in SUBJECTS:
        raise ValueError(f"there is no mail of the kind {kind!r}")
    check_address(to)
    now = database.now()
    mail = {"_id": mail_id, "to": to, "kind": kind, "values": values}
    database.insert("outbox", {**mail, "at": now, "due": now, "tries": 0})


class Outbox:
    """Takes mails, and sends them from a thread of its own.

    Parameters
    ----------
    database : Database
        Where they wait.
    settings : Settings
        Mail server, sender and public address.

    Attributes
    ----------
    address : str or None
        Where links in mails lead to: ``PUBLIC_URL``, else what `serve_at` said.

    Raises
    ------
    SettingsError
        If the settings of mail do not fit each other.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._settings = with_sender(settings)
        self.address = settings.PUBLIC_URL
        self._database = database
        self._delivery = Delivery(database, self._settings, self.link)
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def serve_at(self, address: str) -> None:
        """Tell where the server listens; mails link to it unless there is a ``PUBLIC_URL``."""
        self.address = self.address or address

    def link(self, path: str) -> str:
        """The address that a path of this server has for those who read mails.

        Never made from what a request says of itself: a false ``Host`` would lead the reader, and
        the code in the link, to somebody else.
        """
        if path.startswith(("https://", "http://")):
            return path
        if self.address is None:
            log.warning("Links in mails lack the server's address: set PUBLIC_URL.")
            return path
        return self.address.rstrip("/") + path

    def post(self, to: str, kind: str, /, **values: Any) -> None:
        """Put a mail into the outbox; it is sent later, so no request waits for a mail server.

        Parameters
        ----------
        to : str
            Address.
        kind : str
            One of `jobserver.mail.messages.SUBJECTS`.
        **values
            What the templates of this kind ask for; ``url`` may be a path of this server.

        Raises
        ------
        BadRequest
            If the address is none.
        StoreUnavailable
            If the database is away.
        """
        if "url" in values:
            values["url"] = self.link(values["url"])
        store(self._database, ObjectId(), to, kind, values)
        self._wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End; a mail that is being sent gets a moment, then it is broken off."""
        self._over.set()
        self._wake.set()
        self._delivery.stop()
        if self._thread.is_alive():
            self._thread.join(END_SECONDS)
            self._delivery.break_off()
            self._thread.join(END_SECONDS)  # no longer: it may wait for a connection

    def _work(self) -> None:
        trouble = 0.0
        while not self._over.is_set():
            pause, trouble = self._round(trouble)
            waiting = self._over if trouble else self._wake  # a new mail does not bring it back
            waiting.wait(pause)
            self._wake.clear()

    def _round(self, trouble: float) -> tuple[float, float]:
        """Send what is due; the pause until the next time, and the part of it that is trouble."""
        try:
            tried = self._delivery.deliver()
        except MailServerAway as error:
            trouble = min(max(2 * trouble, FIRST_PAUSE), LONGEST_PAUSE)
            if not self._over.is_set():
                log.warning("Mails wait for the mail server: %s", error)
            return trouble, trouble
        except StoreUnavailable as error:
            log.warning("%s", error)
            return error.retry_after or POLL_SECONDS, 0.0
        except Exception:  # it goes on as long as the server
            if not self._over.is_set():
                log.exception("mails could not be sent; it is tried again")
            return LONGEST_PAUSE, LONGEST_PAUSE
        return 0.0 if tried == BATCH else POLL_SECONDS, 0.0


def with_sender(settings: Settings) -> Settings:
    """Settings of mail that fit each other, the sender filled in.

    Raises
    ------
    SettingsError
        If they do not.
    """
    sender = settings.MAIL_DEFAULT_SENDER or settings.MAIL_USERNAME or ""
    if settings.MAIL_SERVER is None:
        return settings
    if not is_address(parseaddr(sender)[1]) or not sender.isprintable():
        raise SettingsError(
            "MAIL_SERVER needs MAIL_DEFAULT_SENDER, an address such as jobs@example.org."
        )
    return replace(settings, MAIL_DEFAULT_SENDER=sender)
