"""Connections: how requests are read and answers sent, and how long clients may take over it.

No client holds a connection for ever. It has `ServingLimits.timeout` to send the head of a request.
While it sends the body or reads the answer, so much time must bring `LEAST_RATE`. And there is room
for everybody: a new connection beyond the limits closes the one whose client has taken longest.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from jobserver.api.framework.client_address import Network, is_proxy, real_client
from jobserver.api.framework.errors import MESSAGES, error_body
from jobserver.api.framework.headers import ALWAYS, DATA_POLICY, POLICY
from jobserver.sizes import KIB, MIB
from jobserver.system.logs import log_request

#: Bytes a second that a client has to send or read.
LEAST_RATE = KIB
#: Bytes of all answers together that clients have yet to read.
UNREAD = 256 * MIB
#: On close, discard what is unsent: ``struct linger`` with a time of 0.
_DISCARD = struct.pack("ii", 1, 0)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServingLimits:
    """What clients may take.

    Attributes
    ----------
    connections : int
        Connections at once. One client may have half of them.
    timeout : float
        Seconds a client gets for the head of a request, and to send or read some of the rest.
    proxies : sequence of network
        Where connections of many clients come from.
    """

    connections: int
    timeout: float
    proxies: Sequence[Network] = ()


class Turn(Enum):
    """Whose turn it is on a connection, and for what."""

    HEAD = "the client's, to send the head of a request"
    BODY = "the client's, to send the body"
    ANSWER = "the client's, to read the answer"
    SERVER = "the server's, to answer"


class DiskFull(Error):  # type: ignore[misc, unused-ignore]  # its types are extra
    """The disk is too full to receive a request."""

    code = 503
    reason = "Service Unavailable"


class TooSlow(Error):  # type: ignore[misc, unused-ignore]  # its types are extra
    """A request did not arrive in time."""

    code = 408
    reason = "Request Timeout"


class Parser(HTTPRequestParser):  # type: ignore[misc, unused-ignore]  # its types are extra
    """Reads requests; refuses a request that expects ``100 Continue`` before its body is sent."""

    adj: Any
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

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request; only data files may be large."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an unclosed bracket, or a number of too many digits
            raise ParsingError("Invalid URL or Content-Length") from error
        if not self.path.startswith("/datafile/"):
            self.adj = self.adj.small_bodies


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
        log_request("A request could not be read.", status=error.code)


class RequestTask(WSGITask):  # type: ignore[misc, unused-ignore]  # its types are extra
    """Answers a request with the application."""

    _keeps_open = False

    def build_response_header(self) -> bytes:
        """Keep the connection after answers in chunks, whose end shows, and those without a body.

        waitress closes it after any answer without a ``Content-Length``.
        """
        asked = self.request.headers.get("CONNECTION", "").lower()
        has_end = not self.has_body or self.request.command != "HEAD"
        self._keeps_open = self.version == "1.1" and asked != "close" and has_end
        head: bytes = super().build_response_header()
        self._keeps_open = False
        return head

    def set_close_on_finish(self) -> None:
        """Close the connection after the answer, unless its head was built to keep it."""
        if not self._keeps_open:
            super().set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment; ``jobserver.waiting`` wraps what waits for events."""
        channel: Any = self.channel
        environ: dict[str, Any] = super().get_environment()
        environ["jobserver.waiting"] = channel.server.task_dispatcher.waiting
        return environ


class HttpChannel(HTTPChannel):  # type: ignore[misc, unused-ignore]  # its types are extra
    """A connection whose errors are JSON, and arrive even if the client is still sending.

    Closing a connection with unread data resets it, and the client loses the answer. So after an
    error only the sending half is closed, and further data is discarded until the client has sent
    everything, or takes too long.
    """

    parser_class = Parser
    task_class = RequestTask
    error_task_class = JsonErrorTask
    request: Any = None
    socket: Any
    refused = False
    lingering = False
    #: Since when it is somebody's turn, in seconds, and bytes sent or read since then.
    _since = _moved = 0.0

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any) -> None:
        self._restart()
        super().__init__(server, sock, addr, adj, map=map)
        self.peer = str(addr[0])
        self.client = real_client(self.peer, (), ())
        server.crowd.add(self)

    def del_channel(self, map: object = None) -> None:
        """Forget a closed channel."""
        super().del_channel(map)
        self.server.crowd.remove(self)

    @property
    def sender(self) -> str:
        """Who sent the first request: the client, or whom it names if it is a trusted proxy."""
        forwarded = self.requests[0].headers.get("X_FORWARDED_FOR", "")
        return real_client(self.peer, [forwarded], self.server.crowd.limits.proxies)

    @property
    def turn(self) -> Turn:
        """Whose turn it is."""
        if self.total_outbufs_len:
            return Turn.ANSWER
        if self.requests:
            return Turn.SERVER
        has_head = self.request is not None and self.request.headers_finished
        return Turn.BODY if has_head or self.lingering else Turn.HEAD

    @property
    def idle_since(self) -> float:
        """Since when its client has done nothing of use; infinite if it need not."""
        turn = self.turn
        if turn is Turn.SERVER:
            return math.inf
        return self._since if turn is Turn.HEAD else float(self.last_activity)

    def check_deadline(self, now: float, timeout: float) -> None:
        """Close the connection if it is the client's turn, and it took too long."""
        turn = self.turn
        if turn is Turn.SERVER or now - self._since < timeout:
            return
        if turn is not Turn.HEAD and self._moved >= LEAST_RATE * timeout:
            self._restart()
        elif turn is Turn.ANSWER or self.lingering or self.request is None:
            self.cut()
        else:
            self._refuse_slow()

    def cut(self) -> None:
        """Close the connection; the system, too, forgets what the client has not read."""
        self.refused = False
        self.will_close = True
        with contextlib.suppress(OSError):  # closed by the client
            if self.total_outbufs_len:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
            self.socket.shutdown(socket.SHUT_RDWR)  # waitress waits until it can write

    def _refuse_slow(self) -> None:
        with self.requests_lock:
            self.request.error, self.request.expect_continue = TooSlow(""), False
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)

    def _restart(self) -> None:
        self._since, self._moved = time.time(), 0

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
            self._moved += len(self.recv(self.adj.recv_bytes))  # closes at the end of the stream

    def received(self, data: bytes) -> bool:
        """Read a piece of a request."""
        before = self.turn
        self._moved += len(data)
        done = bool(super().received(data))
        if self.turn is not before:
            self._restart()
        return done

    def write_soon(self, data: Any) -> int:
        """Send a piece of an answer, or wait until there is room for it."""
        if not self.total_outbufs_len:
            self._restart()
        return int(super().write_soon(data))

    def _flush_some(self, do_close: bool = True) -> bool:
        with self.outbuf_lock:  # waitress lets two threads send the same "100 Continue"
            before = self.total_outbufs_len
            done = bool(super()._flush_some(do_close))
            self._moved += before - self.total_outbufs_len
            if done and not self.total_outbufs_len:
                self._restart()
        return done

    def _flush_outbufs_below_high_watermark(self) -> None:
        if self.total_outbufs_len > self.adj.outbuf_high_watermark:
            with self.server.task_dispatcher.waiting():
                super()._flush_outbufs_below_high_watermark()

    def handle_close(self) -> None:
        """Close, in two steps after an error."""
        if not self.refused or self.lingering or not self.connected:
            super().handle_close()
            return
        self.lingering = True
        self.will_close = False
        self._restart()
        sock: Any = self.socket
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client is gone
            super().handle_close()


class Crowd:
    """All connections, by client."""

    def __init__(self, limits: ServingLimits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._by_client: dict[str, set[HttpChannel]] = defaultdict(set)
        self._count = 0

    def add(self, channel: HttpChannel) -> None:
        """Add a new connection, and close another if there are too many.

        That is one of the same client, or of the client with the most: the one that has waited
        longest for it. If the server still has to answer all of them, it is the new one.
        """
        with self._lock:
            own = self._by_client[channel.client]
            own.add(channel)
            self._count += 1
            most = self.limits.connections
            if len(own) <= most // 2 or is_proxy(channel.peer, self.limits.proxies):
                if self._count <= most:
                    return
                own = max(self._by_client.values(), key=len)
            open_ones = [each for each in own if not each.will_close]
        min(open_ones, key=lambda each: each.idle_since).cut()

    def remove(self, channel: HttpChannel) -> None:
        """Forget a closed connection."""
        with self._lock, contextlib.suppress(KeyError):
            self._by_client[channel.client].remove(channel)
            self._count -= 1
            if not self._by_client[channel.client]:
                del self._by_client[channel.client]

    def channels(self) -> list[HttpChannel]:
        """Return all connections."""
        with self._lock:
            return [channel for group in self._by_client.values() for channel in group]

    def maintain(self, now: float) -> None:
        """Close connections that are overdue, or hold too much memory."""
        unread = 0
        for channel in sorted(self.channels(), key=lambda each: each.idle_since, reverse=True):
            channel.check_deadline(now, self.limits.timeout)
            unread += channel.total_outbufs_len
            if unread > UNREAD:
                channel.cut()


def with_small_bodies(adj: Any, size: int) -> Any:
    """Return waitress's settings, with others beside them for requests that carry no file."""
    adj.small_bodies = copy.copy(adj)
    adj.small_bodies.max_request_body_size = min(size, adj.max_request_body_size)
    adj.small_bodies.small_bodies = adj.small_bodies
    return adj
