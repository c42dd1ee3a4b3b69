"""Mail servers for tests: one that accepts mail, and two that are useless."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

HOST = "127.0.0.1"


@dataclass
class Mailbox:
    """A mail server's accepted mails, and its answers.

    Attributes
    ----------
    answers : list of str
        Answers to the next mails, instead of accepting them.
    """

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """Accept a mail; aiosmtpd calls this."""
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content, policy=policy.default))
        self.envelopes.append(envelope)
        return "250 taken"

    def login(
        self, _server: Any, _session: Any, _envelope: Any, _way: str, data: Any
    ) -> AuthResult:
        """Accept the right password."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"open sesame", handled=False)

    def to(self, address: str) -> list[EmailMessage]:
        """Return the mails sent to an address."""
        return [mail for mail in self.mails if mail["To"] == address]


@contextmanager
def mailbox(port: int | None = None, **options: Any) -> Iterator[Mailbox]:
    """A mail server; with ``login`` it requires a password."""
    box = Mailbox(port or free_port())
    if options.pop("login", False):
        options |= {"authenticator": box.login, "auth_required": True}
    controller = Controller(box, hostname=HOST, port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextmanager
def useless_server(drip: bytes = b"") -> Iterator[int]:
    """Yield the port of a server that sends nothing, or a byte now and then."""
    over = threading.Event()
    held: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        while not over.wait(0.05):
            try:
                held.append(listener.accept()[0])
            except TimeoutError:
                continue
            finally:
                feed()

    def feed() -> None:
        for sock in held if drip else ():
            with suppress(OSError):  # the client is gone
                sock.send(drip)

    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()
        for sock in held:
            sock.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port
