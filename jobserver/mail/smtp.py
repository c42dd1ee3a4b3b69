"""An SMTP client that sends one mail at a time and never hangs for long."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import localtime, parseaddr

from jobserver.home.settings import Settings

#: Longest wait for one answer of the mail server, and for all that one mail takes.
SOCKET_SECONDS = 10.0
SEND_SECONDS = 60.0


class Undeliverable(Exception):
    """The mail server will never accept this mail."""


class SmtpClient:
    """Sends mails through the server that the settings name.

    Parameters
    ----------
    settings : Settings
        With ``MAIL_SERVER`` and a ``MAIL_DEFAULT_SENDER`` that is an address.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender = settings.MAIL_DEFAULT_SENDER or ""
        self._address = parseaddr(self._sender)[1]
        self._connection: smtplib.SMTP | None = None

    def send(self, mail_id: str, to: str, message: EmailMessage) -> None:
        """Send a mail; return once the mail server has accepted it.

        Parameters
        ----------
        mail_id : str
            The same on each attempt, so that recipients can recognize a duplicate.
        message : EmailMessage
            Subject and content; the other headers are added.

        Raises
        ------
        Undeliverable
            If another attempt is pointless.
        OSError, smtplib.SMTPException
            If a later attempt may succeed.
        """
        message["From"], message["To"], message["Date"] = self._sender, to, localtime()
        message["Message-ID"] = f"<{mail_id}@{self._address.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        deadline = threading.Timer(SEND_SECONDS, self.hang_up)
        deadline.start()
        try:
            with self._connected(deadline.finished) as connection:
                connection.send_message(message, self._address, [to])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            if _code(error) >= 500:
                raise Undeliverable(f"the mail server refuses it, code {_code(error)}") from error
            raise
        finally:
            deadline.cancel()
            self._connection = None

    def hang_up(self) -> None:
        """Break the connection, from another thread."""
        sock = self._connection.sock if self._connection else None
        if sock is not None:
            with contextlib.suppress(OSError):  # already closed
                sock.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _connected(self, late: threading.Event) -> Iterator[smtplib.SMTP]:
        """Connect, start encryption and log in; afterwards, close the connection."""
        settings, context = self._settings, ssl.create_default_context()
        if settings.MAIL_USE_SSL:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(timeout=SOCKET_SECONDS, context=context)
        else:
            connection = smtplib.SMTP(timeout=SOCKET_SECONDS)
        self._connection = connection  # before it connects, so that `hang_up` can break that off
        host = settings.MAIL_SERVER or ""
        connection._host = host  # type: ignore[attr-defined]  # the certificate's expected name
        with contextlib.closing(connection):
            connection.connect(host, settings.MAIL_PORT)
            if settings.MAIL_USE_TLS and not settings.MAIL_USE_SSL:
                connection.starttls(context=context)
            if settings.MAIL_USERNAME and settings.MAIL_PASSWORD:
                connection.login(settings.MAIL_USERNAME, settings.MAIL_PASSWORD)
            if late.is_set():
                raise TimeoutError("the mail server is too slow")
            yield connection
            with contextlib.suppress(OSError):  # the mail was accepted, whatever comes now
                connection.quit()


def _code(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> int:
    if isinstance(error, smtplib.SMTPDataError):
        return int(error.smtp_code)
    return min(code for code, _ in error.recipients.values())
