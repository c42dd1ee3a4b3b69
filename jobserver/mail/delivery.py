"""Delivery of the mails that are due, each by one server only.

A server claims a mail by moving its due time to the end of a lease, in one guarded update. If it
dies, the lease expires and another server tries. A mail server that does not answer delays all
mails; a refused address delays only its own.
"""

from __future__ import annotations

import logging
import smtplib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Self

from bson import ObjectId

from jobserver.errors import JobserverError
from jobserver.home.settings import Settings
from jobserver.mail.messages import compose
from jobserver.mail.smtp import SmtpClient, Undeliverable
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import stored_document, stored_fields

log = logging.getLogger(__name__)

BATCH = 20
#: Longer than sending a mail can take: see `jobserver.mail.smtp.SEND_SECONDS`.
LEASE = timedelta(minutes=5)
#: The pause before each retry of a mail doubles.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=4)
_EPOCH = datetime(1970, 1, 1)
_CONTENT = dict.fromkeys(("to", "kind", "values", "due", "tries", "claim"), "")


class MailServerAway(JobserverError):
    """The mail server does not answer, or refuses the login."""


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail that waits in the outbox.

    Attributes
    ----------
    to : str
        Address it goes to.
    kind : str
        A key of `jobserver.mail.messages.SUBJECTS`.
    values : dict
        Variables of the templates of its kind.
    at, due : datetime
        When it was stored, and when to send it.
    tries : int
        Number of times it could not be sent.
    claim : ObjectId or None
        Names the server that is sending it.
    """

    id: object
    to: str
    kind: str
    values: Document
    at: datetime
    due: datetime
    tries: int = 0
    claim: ObjectId | None = None

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Return a stored mail."""
        return cls(**stored_fields(cls, document))

    def to_document(self) -> Document:
        """Return the mail as it is stored."""
        return stored_document(self)


class Delivery:
    """Sends the mails that wait in the outbox.

    Parameters
    ----------
    database : Database
        Holds the outbox.
    settings : Settings
        Settings of the mail server and the sender.
    link : callable
        Returns the URL of a path of this server.
    """

    def __init__(self, database: Database, settings: Settings, link: Callable[[str], str]) -> None:
        self._database = database
        self._outbox = database["outbox"]
        self._settings = settings
        self._link = link
        self._client = SmtpClient(settings)
        self._stopped = threading.Event()
        self._has_warned = False
        self._unsaved: dict[object, str] = {}

    def deliver(self) -> int:
        """Send the mails that are due, the longest waiting first.

        Returns
        -------
        int
            Number of due mails found, at most `BATCH`.

        Raises
        ------
        MailServerAway
            If the mail server accepts no mail at the moment.
        StoreUnavailable
            If the database does not answer.
        """
        self._save()
        window = {"due": {"$gt": _EPOCH, "$lte": self._database.now()}}
        order = [("due", 1)]
        found = self._database.find("outbox", window, sort=order, limit=BATCH)
        due = [Mail.from_document(each) for each in found]
        if due and self._settings.MAIL_SERVER is None:
            self._warn_once()
            return 0
        for mail in due:
            if self._stopped.is_set():
                break
            if (claimed := self._claim(mail)) is not None:
                self._send(claimed)
        return len(due)

    def stop(self) -> None:
        """Send no further mail."""
        self._stopped.set()

    def interrupt(self) -> None:
        """Interrupt the mail being sent; it is retried later."""
        self._client.hang_up()

    def _warn_once(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            log.warning("The outbox has mails that cannot be sent: set MAIL_SERVER.")

    def _claim(self, mail: Mail) -> Mail | None:
        """Claim a mail for the time of a lease; return None if another server was faster."""
        claim, due = ObjectId(), self._database.now() + LEASE
        seen, mine = {"_id": mail.id, "due": mail.due}, {"due": due, "claim": claim}
        done = self._database.call(self._outbox.update_one, seen, {"$set": mine})
        if not done.modified_count:
            own = {"_id": mail.id, "claim": claim}  # if the reply was lost
            if self._database.call(self._outbox.find_one, own) is None:
                return None
        return replace(mail, due=due, claim=claim)

    def _send(self, mail: Mail) -> None:
        try:
            self._client.send(str(mail.id), mail.to, self._message(mail))
        except Undeliverable as error:
            self._give_up(mail, str(error))
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            self._postpone(mail, type(error).__name__)
        except OSError as error:  # smtplib's errors are among them
            self._postpone(mail, described(error))
            raise MailServerAway(described(error)) from error
        except Exception:
            log.exception("The mail %s cannot be composed.", mail.id)
            self._give_up(mail, "it cannot be composed")
        else:
            self._settle(mail, "sent")

    def _message(self, mail: Mail) -> EmailMessage:
        urls = {
            name: self._link(path)
            for name, path in mail.values.items()
            if name in {"url", "link"} and path
        }
        return compose(mail.kind, mail.values | urls)

    def _postpone(self, mail: Mail, why: str) -> None:
        """Retry a mail later, after a longer pause each time; give up in the end."""
        now = self._database.now()
        if now - mail.at > GIVEN_UP_AFTER:
            self._give_up(mail, why)
            return
        pause = min(FIRST_PAUSE * 2 ** min(mail.tries, 20), LONGEST_PAUSE)
        later = {"$set": {"due": now + pause, "tries": mail.tries + 1}, "$unset": {"claim": ""}}
        own = {"_id": mail.id, "claim": mail.claim}
        self._database.call(self._outbox.update_one, own, later)
        log.info("The mail %s is retried in %s: %s", mail.id, pause, why)

    def _give_up(self, mail: Mail, why: str) -> None:
        log.error("Giving up the mail %s (%s): %s.", mail.id, mail.kind, why)
        self._settle(mail, "given up")

    def _settle(self, mail: Mail, fate: str) -> None:
        """Replace the mail's content by its fate, as soon as the database answers."""
        self._unsaved[mail.id] = fate
        self._save()

    def _save(self) -> None:
        for mail_id, fate in list(self._unsaved.items()):
            update = {"$set": {"fate": fate}, "$unset": _CONTENT}
            self._database.call(self._outbox.update_one, {"_id": mail_id}, update)
            del self._unsaved[mail_id]


def described(error: OSError) -> str:
    """Describe an error without the server's text, which may repeat a password."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{type(error).__name__}, code {error.smtp_code}"
    return f"{type(error).__name__}: {error.strerror or error}"
