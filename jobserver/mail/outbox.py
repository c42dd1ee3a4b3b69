"""The outbox: mails wait in the database until a server can send them.

A mail is a document with the time it is ``due``; `jobserver.mail.delivery` sends it. A mail that
was sent or given up stays for some days without its content, so that a mail stored again with the
same id is not sent again.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from email.utils import parseaddr

from bson import ObjectId

from jobserver.errors import SettingsError, StoreUnavailable
from jobserver.home.settings import Settings
from jobserver.mail.delivery import BATCH, Delivery, Mail, MailServerAway
from jobserver.mail.messages import SUBJECTS, check_address, is_address
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

#: How often to look for mails stored by other processes.
POLL_SECONDS = 2.0
#: While the mail server does not answer, the pause between attempts doubles.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
#: Time a mail being sent gets on shutdown, twice.
STOP_SECONDS = 1.0


def store(database: Database, mail_id: object, to: str, kind: str, values: Document) -> None:
    """Put a mail into the outbox, unless it already has one with this id.

    Parameters
    ----------
    mail_id : object
        Id of the mail.
    values : dict
        Variables of the templates of its kind.

    Raises
    ------
    BadRequest
        If the address is invalid.
    """
    if kind not in SUBJECTS:
        raise ValueError(f"unknown kind of mail: {kind!r}")
    check_address(to)
    now = database.now()
    mail = Mail(id=mail_id, to=to, kind=kind, values=values, at=now, due=now)
    database.insert("outbox", mail.to_document())


class Outbox:
    """Accepts mails, and sends them from a thread of its own.

    Parameters
    ----------
    database : Database
        Holds the mails.
    settings : Settings
        Mail server, sender and public address.

    Attributes
    ----------
    address : str or None
        Base URL of links in mails: ``PUBLIC_URL``, else the address from `serve_at`.

    Raises
    ------
    SettingsError
        If the mail settings are inconsistent.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._settings = with_sender(settings)
        self.address = settings.PUBLIC_URL
        self._database = database
        self._delivery = Delivery(database, self._settings, self.link)
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    def serve_at(self, address: str) -> None:
        """Set where the server listens, for links in mails if ``PUBLIC_URL`` is not set."""
        self.address = self.address or address

    def link(self, path: str) -> str:
        """Return the URL of a path of this server, for use in mails.

        It never depends on a request: a forged ``Host`` would send the reader, and the token in the
        link, to somebody else.
        """
        if path.startswith(("https://", "http://")):
            return path
        if self.address is None:
            log.warning("Links in mails lack the server's address: set PUBLIC_URL.")
            return path
        return self.address.rstrip("/") + path

    def post(self, to: str, kind: str, /, **values: object) -> None:
        """Put a mail into the outbox, to be sent later: no request waits for a mail server.

        Parameters
        ----------
        to : str
            Email address.
        kind : str
            A key of `jobserver.mail.messages.SUBJECTS`.
        **values
            Variables of the templates of this kind; ``url`` may be a path of this server.

        Raises
        ------
        BadRequest
            If the address is invalid.
        StoreUnavailable
            If the database does not answer.
        """
        if "url" in values:
            values["url"] = self.link(str(values["url"]))
        store(self._database, ObjectId(), to, kind, values)
        self._wake.set()

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; a mail being sent gets a moment to finish."""
        self._stopped.set()
        self._wake.set()
        self._delivery.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            self._delivery.interrupt()
            self._thread.join(STOP_SECONDS)  # no longer: it may be connecting

    def _work(self) -> None:
        backoff = 0.0
        while not self._stopped.is_set():
            pause, backoff = self._deliver(backoff)
            event = self._stopped if backoff else self._wake  # a new mail does not end a back-off
            event.wait(pause)
            self._wake.clear()

    def _deliver(self, backoff: float) -> tuple[float, float]:
        """Send what is due; return the pause until the next time, and the back-off in it."""
        try:
            found = self._delivery.deliver()
        except MailServerAway as error:
            backoff = min(max(2 * backoff, FIRST_PAUSE), LONGEST_PAUSE)
            if not self._stopped.is_set():
                log.warning("Mails wait for the mail server: %s", error)
            return backoff, backoff
        except StoreUnavailable as error:
            log.warning("%s", error)
            return error.retry_after or POLL_SECONDS, 0.0
        except Exception:  # the thread must live as long as the server
            if not self._stopped.is_set():
                log.exception("Mails could not be sent; retrying later.")
            return LONGEST_PAUSE, LONGEST_PAUSE
        return 0.0 if found == BATCH else POLL_SECONDS, 0.0


def with_sender(settings: Settings) -> Settings:
    """Return settings with a sender; `SettingsError` if mail needs one and has none."""
    sender = settings.MAIL_DEFAULT_SENDER or settings.MAIL_USERNAME or ""
    if settings.MAIL_SERVER is None:
        return settings
    if not is_address(parseaddr(sender)[1]) or not sender.isprintable():
        raise SettingsError(
            "MAIL_SERVER needs MAIL_DEFAULT_SENDER, an email address such as jobs@example.org."
        )
    return replace(settings, MAIL_DEFAULT_SENDER=sender)
