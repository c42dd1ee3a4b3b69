"""Serve HTTP with waitress, until a signal stops the server."""

from __future__ import annotations

import errno
import gc
import logging
import resource
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from waitress.adjustments import Adjustments
from waitress.server import MultiSocketServer, TcpWSGIServer

from jobserver.api.framework.client_address import networks
from jobserver.errors import SettingsError
from jobserver.server.connections import Crowd, HttpChannel, ServingLimits, with_small_bodies
from jobserver.server.shutdown import ending
from jobserver.server.threads import RequestThreads
from jobserver.sizes import KIB, MIB

if TYPE_CHECKING:
    from flask import Flask

    from jobserver.home.settings import Settings
    from jobserver.server.server import Server

#: Requests answered at once. They share the processor: the fewer, the sooner each is answered.
THREADS = 48
#: Connections that wait to be accepted.
BACKLOG = 1000
#: Time answers in progress get on shutdown.
FLUSH_SECONDS = 5.0
#: Bytes of a request besides its content: headers and multipart framing.
OVERHEAD = MIB
#: Bytes of an answer produced ahead of what the client has read.
AHEAD = 256 * KIB
#: New containers before a collection of garbage, and collections before one of older, and of all.
_COLLECTIONS = (100_000, 20, 100)
#: How long a thread may keep the others from running Python.
_TURN_SECONDS = 0.001

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets, so that a port in use is reported before anything starts.

    Beside 127.0.0.1 that is ``::1``, if this machine has it: clients may mean either by localhost.

    Raises
    ------
    SettingsError
        If the address cannot be used.
    """
    try:
        sockets = [_bound(host, port)]
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "ports range from 0 to 65535"
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another port with --port."
        ) from error
    if host in ("127.0.0.1", "localhost"):
        port = sockets[0].getsockname()[1]
        try:
            sockets.append(_bound("::1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                log.warning("[::1]:%d is in use; localhost may lead to another server.", port)
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock


def serve(home: Server, sockets: list[socket.socket], announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then close the home.

    Parameters
    ----------
    home : Server
        An open home.
    sockets : list of socket.socket
        Sockets from `listen`.
    announce : callable
        Called when the server is ready.
    """
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # short waits are normal
    settings = home.settings
    proxies = networks(settings.TRUSTED_PROXIES)
    limits = ServingLimits(settings.CONNECTIONS, settings.CLIENT_TIMEOUT, proxies)
    adj, crowd = _adjustments(settings), Crowd(limits)
    threads, channels = RequestThreads(THREADS), dict[int, object]()
    for sock in sockets:
        Listener(home.app, channels, sock, threads, adj, crowd)
    server = MultiSocketServer(channels, adj, [], threads)
    raise_file_limit(settings.CONNECTIONS)
    favour_short_requests()
    with ending(home, partial(_flush, crowd)):
        announce()
        server.run()  # returns when a handler raised SystemExit


class Listener(TcpWSGIServer):  # type: ignore[misc, unused-ignore]  # its types are extra
    """A socket of a server, which accepts connections."""

    channel_class = HttpChannel

    def __init__(
        self,
        app: Flask,
        channels: dict[int, object],
        sock: socket.socket,
        threads: RequestThreads,
        adj: object,
        crowd: Crowd,
    ) -> None:
        self.crowd = crowd
        about = (sock.family, sock.type, sock.proto, sock.getsockname())
        shared: dict[str, object] = {"dispatcher": threads, "adj": adj, "bind_socket": False}
        super().__init__(app, channels, True, sock, sockinfo=about, **shared)

    def maintenance(self, now: float) -> None:
        """Close overdue connections, and stop threads that are not needed any more."""
        self.crowd.maintain(now)
        self.task_dispatcher.shrink()


def _adjustments(settings: Settings) -> Adjustments:
    """Return the settings of waitress."""
    adj = Adjustments(
        backlog=BACKLOG,
        connection_limit=sys.maxsize,  # see `Crowd`
        cleanup_interval=1,
        max_request_body_size=max(settings.MAX_UPLOAD_SIZE, settings.MAX_JSON_SIZE) + OVERHEAD,
        asyncore_use_poll=True,
        outbuf_high_watermark=AHEAD,
        outbuf_overflow=32 * MIB,  # never a file: a full disk must not break answers
        clear_untrusted_proxy_headers=False,  # see `client_address`, their one reader
        ident="jobserver",
        server_name="localhost",  # for clients that send no Host
    )
    adj.send_bytes = 1  # send each event at once
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # What a client does not read stays here, where it counts, and not in the system.
        unsent = (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, AHEAD)
        adj.socket_options = [*adj.socket_options, unsent]
    return with_small_bodies(adj, settings.MAX_JSON_SIZE + OVERHEAD)


def raise_file_limit(connections: int) -> None:
    """Let this process open a file for each connection, and as many others."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections if hard == resource.RLIM_INFINITY else min(2 * connections, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def favour_short_requests() -> None:
    """Have those who read large results hold up others less.

    A collection of cyclic garbage stops all threads. It took half a second for each result of half
    a million lists being read, which are no garbage: so there are few collections.
    """
    gc.set_threshold(*_COLLECTIONS)
    sys.setswitchinterval(_TURN_SECONDS)


def _flush(crowd: Crowd) -> None:
    """Wait a moment for answers in progress."""
    deadline = time.monotonic() + FLUSH_SECONDS
    while time.monotonic() < deadline:
        if not any(channel.requests or channel.total_outbufs_len for channel in crowd.channels()):
            return
        time.sleep(0.01)
