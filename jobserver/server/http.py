"""Serve HTTP with waitress, until a signal stops the server."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import waitress.server
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import Error

from jobserver.api.framework.errors import MESSAGES, error_body
from jobserver.api.framework.headers import ALWAYS, DATA_POLICY, POLICY
from jobserver.errors import SettingsError
from jobserver.server.shutdown import ending
from jobserver.sizes import MIB

if TYPE_CHECKING:
    from jobserver.home.settings import Settings
    from jobserver.server.server import Server

THREADS = 64
CONNECTIONS = 1000
CHANNEL_SECONDS = 30
#: Time answers in progress get on shutdown.
FLUSH_SECONDS = 5.0
#: Bytes of a request besides its content: headers and multipart framing.
OVERHEAD = MIB
#: Bytes of an answer produced ahead of what the client has read.
AHEAD = MIB

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket, so that a port in use is reported before anything starts.

    Raises
    ------
    SettingsError
        If the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(CONNECTIONS)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else "ports range from 0 to 65535"
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another port with --port."
        ) from error
    return sock


def serve(home: Server, sock: socket.socket, announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then close the home.

    Parameters
    ----------
    home : Server
        An open home.
    sock : socket.socket
        Socket from `listen`.
    announce : callable
        Called when the server is ready.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # short waits are normal
    server: Any = waitress.server.create_server(
        home.app,
        sockets=[sock],
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=CHANNEL_SECONDS,
        cleanup_interval=CHANNEL_SECONDS // 2,
        max_request_body_size=_largest_body(home.settings),
        asyncore_use_poll=True,
        outbuf_high_watermark=AHEAD,
        outbuf_overflow=32 * MIB,  # never a file: a full disk must not break answers
        clear_untrusted_proxy_headers=False,  # see `client_address`, their one reader
        ident="jobserver",
        server_name="localhost",  # for clients that send no Host
    )
    server.adj.send_bytes = 1  # send each event at once
    server.channel_class = HttpChannel
    with ending(home, partial(_flush, server)):
        announce()
        server.run()  # returns when a handler raised SystemExit
        for connection in (*server.active_channels.values(), server):
            connection.close()


def _largest_body(settings: Settings) -> int:
    return max(settings.MAX_UPLOAD_SIZE, settings.MAX_JSON_SIZE) + OVERHEAD


def _flush(server: Any) -> None:
    """Wait a moment for answers in progress."""
    deadline = time.monotonic() + FLUSH_SECONDS
    while time.monotonic() < deadline:
        channels = list(server.active_channels.values())
        if not any(channel.requests or channel.total_outbufs_len for channel in channels):
            return
        time.sleep(0.01)


class DiskFull(Error):  # type: ignore[misc, unused-ignore]  # its types are extra
    """The disk is too full to receive a request."""

    code = 503
    reason = "Service Unavailable"


class Parser(HTTPRequestParser):  # type: ignore[misc, unused-ignore]  # its types are extra
    """Reads requests; refuses a request that expects ``100 Continue`` before its body is sent."""

    path = ""  # default if the head is malformed: waitress logs it

    def received(self, data: bytes) -> int:
        """Read a piece of a request and return how many bytes were used."""
        try:
            consumed: int = super().received(data)
        except OSError as error:  # large bodies are buffered in a file
            log.warning("A request could not be received: %s", error)
            self.error, self.completed, consumed = DiskFull(""), True, len(data)
        if self.error is not None:
            self.expect_continue = False
        return consumed


class JsonErrorTask(ErrorTask):  # type: ignore[misc, unused-ignore]  # its types are extra
    """Answers what waitress itself refuses with an error body like all others."""

    def execute(self) -> None:
        """Send the error."""
        channel: Any = self.channel
        request: Any = self.request
        error = request.error
        detail = f"The request cannot be read: {error.body}."
        message = detail if error.code == 400 else MESSAGES.get(error.code, detail)
        body = error_body(error.code, message)
        self.status = f"{error.code} {error.reason}"
        head = [("Content-Type", "application/json"), ("Connection", "close")]
        wait = [("Retry-After", "60")] if error.code == 503 else []
        self.response_headers = [*head, *wait, *ALWAYS, (POLICY, DATA_POLICY)]
        self.content_length = len(body)
        self.close_on_finish = channel.refused = True
        self.write(body)


class HttpChannel(HTTPChannel):  # type: ignore[misc, unused-ignore]  # its types are extra
    """A connection whose errors are JSON, and arrive even if the client is still sending.

    Closing a connection with unread data resets it, and the client loses the answer. So after an
    error only the sending half is closed, and further data is discarded until the client has sent
    everything, or waitress closes the idle connection after `CHANNEL_SECONDS`.
    """

    parser_class = Parser
    error_task_class = JsonErrorTask
    refused = False
    lingering = False

    def check_client_disconnected(self) -> bool:
        """Whether the client has stopped sending; it may be gone, or only reading."""
        sock: Any = self.socket
        if sock is None:  # already closed
            return True
        try:
            return not len(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False
        except OSError:
            return True

    def readable(self) -> bool:
        """Whether to read more."""
        return self.lingering or bool(super().readable())

    def handle_read(self) -> None:
        """Read what the client sent."""
        if not self.lingering:
            super().handle_read()
        else:
            self.recv(self.adj.recv_bytes)  # closes at the end of the stream

    def handle_close(self) -> None:
        """Close, in two steps after an error."""
        if not self.refused or self.lingering or not self.connected:
            super().handle_close()
            return
        self.lingering = True
        self.will_close = False
        sock: Any = self.socket
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            super().handle_close()
