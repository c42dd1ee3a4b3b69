"""Carries one mail after the other to the mail server, by Flask-Mail; never hangs for long."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from email.utils import parseaddr
from typing import Any

from flask import Flask
from flask_mail import Connection, Mail, Message

from jobserver.home.settings import Settings
from jobserver.mail.messages import MailMessage

#: Longest wait for one answer of the mail server, and for all that one mail takes.
SOCKET_SECONDS = 10.0
SEND_SECONDS = 60.0


class Undeliverable(Exception):
    """The mail server says that it will never take this mail."""


class SmtpClient:
    """Sends mails to the server that the settings name.

    Parameters
    ----------
    settings : Settings
        With ``MAIL_SERVER`` and a ``MAIL_DEFAULT_SENDER`` that is an address.
    """

    def __init__(self, settings: Settings) -> None:
        self.line: smtplib.SMTP | None = None
        self._sender = settings.MAIL_DEFAULT_SENDER or ""
        self._domain = parseaddr(self._sender)[1].rpartition("@")[2]
        # Flask-Mail wants an application to belong to. Its debug mode would print passwords.
        self._app = Flask("jobserver.mail", static_folder=None, template_folder=None)
        self._app.config.from_mapping(
            MAIL_SERVER=settings.MAIL_SERVER,
            MAIL_PORT=settings.MAIL_PORT,
            MAIL_USERNAME=settings.MAIL_USERNAME,
            MAIL_PASSWORD=settings.MAIL_PASSWORD,
            MAIL_USE_TLS=settings.MAIL_USE_TLS and not settings.MAIL_USE_SSL,
            MAIL_USE_SSL=settings.MAIL_USE_SSL,
            MAIL_DEBUG=0,
        )
        self._mail = Mail(self._app)

    def send(self, mail_id: str, to: str, letter: MailMessage) -> None:
        """Send a mail; returns when the mail server took it.

        Parameters
        ----------
        mail_id : str
            The same for each try, so that a receiver can tell a mail that comes twice.

        Raises
        ------
        Undeliverable
            If trying again makes no sense.
        OSError, smtplib.SMTPException
            If it may go later.
        """
        message = Message(
            letter.subject,
            [to],
            body=letter.text,
            html=letter.html,
            sender=self._sender,
            extra_headers={"Auto-Submitted": "auto-generated"},
        )
        message.msgId = f"<{mail_id}@{self._domain}>"
        watch = threading.Timer(SEND_SECONDS, self.hang_up)
        watch.start()
        try:
            with self._app.app_context(), _Connection(self._mail.state, self) as connection:
                connection.send(message)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            if _code(error) >= 500:
                raise Undeliverable(f"the mail server refuses it, code {_code(error)}") from error
            raise
        finally:
            watch.cancel()
            self.line = None

    def hang_up(self) -> None:
        """Break off what is being sent, from another thread."""
        sock = self.line.sock if self.line else None
        if sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                sock.shutdown(socket.SHUT_RDWR)


class _Connection(Connection):
    """Flask-Mail's connection with time limits, and certificates that are looked at."""

    def __init__(self, mail: Any, postman: SmtpClient) -> None:
        super().__init__(mail)
        self._postman = postman
        self._deadline = time.monotonic() + SEND_SECONDS

    def configure_host(self) -> smtplib.SMTP:
        """Connect, begin encryption, log in."""
        line = self._dial()
        try:
            if self.mail.use_tls:
                line.starttls(context=ssl.create_default_context())
            if self.mail.username and self.mail.password:
                line.login(self.mail.username, self.mail.password)
            if time.monotonic() > self._deadline:
                raise TimeoutError("the mail server is too slow")
        except BaseException:
            line.close()
            raise
        return line

    def _dial(self) -> smtplib.SMTP:
        # Without an address they do not connect yet: first the postman has to know the line.
        if self.mail.use_ssl:
            context = ssl.create_default_context()
            line: smtplib.SMTP = smtplib.SMTP_SSL(timeout=SOCKET_SECONDS, context=context)
        else:
            line = smtplib.SMTP(timeout=SOCKET_SECONDS)
        self._postman.line = line
        line._host = self.mail.server  # type: ignore[attr-defined]  # whose certificate is expected
        try:
            line.connect(self.mail.server, self.mail.port)
        except BaseException:
            line.close()
            raise
        return line

    def __exit__(self, *error: object) -> None:
        """Say good-bye; the mail is taken, or not, whatever the answer to that."""
        line = self.host
        if line is None:
            return
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if error[0] is None:
                line.quit()
        line.close()


def _code(error: smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError) -> int:
    if isinstance(error, smtplib.SMTPDataError):
        return int(error.smtp_code)
    return min(code for code, _ in error.recipients.values())
