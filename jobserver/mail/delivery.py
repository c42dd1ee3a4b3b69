"""Sending the mails that are due, each by one server only.

Whoever sends a mail first moves its time past the end of a lease, in one guarded update. If the
sender dies the lease runs out, and another tries. A mail server that is away holds up all mails; a
refused address only its own.
"""

from __future__ import annotations

import logging
import smtplib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage

from bson import ObjectId

from jobserver.errors import JobserverError
from jobserver.home.settings import Settings
from jobserver.mail.messages import compose
from jobserver.mail.smtp import SmtpClient, Undeliverable
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

BATCH = 20
#: Longer than any mail takes: see `jobserver.mail.smtp.SEND_SECONDS`.
LEASE = timedelta(minutes=5)
#: The pause before a mail is tried again doubles, from the first to the longest.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=4)
_LONG_AGO = datetime(1970, 1, 1)
_CONTENT = dict.fromkeys(("to", "kind", "values", "due", "tries", "claim"), "")


class MailServerAway(JobserverError):
    """The mail server does not answer, or does not let us in."""


class Delivery:
    """Sends what waits in the outbox of a database.

    Parameters
    ----------
    database : Database
        Where the mails are.
    settings : Settings
        Mail server and sender.
    link : callable
        Makes addresses of paths of this server.
    """

    def __init__(self, database: Database, settings: Settings, link: Callable[[str], str]) -> None:
        self._database = database
        self._outbox = database["outbox"]
        self._settings = settings
        self._link = link
        self._client = SmtpClient(settings)
        self._over = threading.Event()
        self._told = False
        self._unmarked: dict[object, str] = {}

    def deliver(self) -> int:
        """Send mails that are due, those that wait longest first.

        Returns
        -------
        int
            How many were looked at, at most `BATCH`.

        Raises
        ------
        MailServerAway
            If the mail server takes none at present.
        StoreUnavailable
            If the database is away.
        """
        self._mark()
        window = {"due": {"$gt": _LONG_AGO, "$lte": self._database.now()}}
        order = [("due", 1)]
        due = list(self._database.find("outbox", window, sort=order, limit=BATCH))
        if due and self._settings.MAIL_SERVER is None:
            self._tell_once()
            return 0
        for mail in due:
            if self._over.is_set():
                break
            if (claimed := self._claim(mail)) is not None:
                self._send(claimed)
        return len(due)

    def stop(self) -> None:
        """Begin to send no further mail."""
        self._over.set()

    def break_off(self) -> None:
        """Break off what is being sent; it is tried again later."""
        self._client.hang_up()

    def _tell_once(self) -> None:
        if not self._told:
            self._told = True
            log.warning("Mails wait in the outbox, but none is sent: set MAIL_SERVER.")

    def _claim(self, mail: Document) -> Document | None:
        """Take a mail for the time of a lease; None if another server was faster."""
        mine = {"due": self._database.now() + LEASE, "claim": ObjectId()}
        seen = {"_id": mail["_id"], "due": mail["due"]}
        done = self._database.call(self._outbox.update_one, seen, {"$set": mine})
        if not done.modified_count:
            own = {"_id": mail["_id"], "claim": mine["claim"]}  # of a try whose answer was lost
            if self._database.call(self._outbox.find_one, own) is None:
                return None
        return {**mail, **mine}

    def _send(self, mail: Document) -> None:
        try:
            self._client.send(str(mail["_id"]), mail["to"], self._message(mail))
        except Undeliverable as error:
            self._give_up(mail, str(error))
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            self._put_off(mail, type(error).__name__)
        except OSError as error:  # smtplib's errors are among them
            self._put_off(mail, described(error))
            raise MailServerAway(described(error)) from error
        except Exception:
            log.exception("the mail %s cannot be written", mail["_id"])
            self._give_up(mail, "it cannot be written")
        else:
            self._settle(mail, "sent")

    def _message(self, mail: Document) -> EmailMessage:
        addresses = {
            name: self._link(path)
            for name, path in mail["values"].items()
            if name in {"url", "link"} and path
        }
        return compose(mail["kind"], mail["values"] | addresses)

    def _put_off(self, mail: Document, why: str) -> None:
        """Let a mail wait for longer each time, but not for ever."""
        now = self._database.now()
        if now - mail["at"] > GIVEN_UP_AFTER:
            self._give_up(mail, why)
            return
        pause = min(FIRST_PAUSE * 2 ** min(mail["tries"], 20), LONGEST_PAUSE)
        later = {"$set": {"due": now + pause, "tries": mail["tries"] + 1}, "$unset": {"claim": ""}}
        own = {"_id": mail["_id"], "claim": mail["claim"]}
        self._database.call(self._outbox.update_one, own, later)
        log.info("the mail %s is tried again in %s: %s", mail["_id"], pause, why)

    def _give_up(self, mail: Document, why: str) -> None:
        log.error("The mail %s (%s) is given up: %s.", mail["_id"], mail["kind"], why)
        self._settle(mail, "given up")

    def _settle(self, mail: Document, fate: str) -> None:
        """Leave a mark instead of a mail; should the database be away, as soon as it is back."""
        self._unmarked[mail["_id"]] = fate
        self._mark()

    def _mark(self) -> None:
        for mail_id, fate in list(self._unmarked.items()):
            update = {"$set": {"fate": fate}, "$unset": _CONTENT}
            self._database.call(self._outbox.update_one, {"_id": mail_id}, update)
            del self._unmarked[mail_id]


def described(error: OSError) -> str:
    """What went wrong, without what a mail server may repeat of a password."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__}, code {error.smtp_code}"
    return f"{type(error).__name__}: {error.strerror or error}"
