"""A client that behaves, while others do not: how long it waits for its answers."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException

from tests.support.server import Server, until

#: Longest that it may wait for an answer, in seconds.
PATIENCE = 3.0 if "PYTEST_XDIST_WORKER" in os.environ else 1.0  # other tests take a core then


class Bystander:
    """Asks for the server's health and for a job, in turn, over a new connection each time.

    Attributes
    ----------
    seconds : list of float
        How long it waited for each answer.
    errors : list of str
        What it got instead of an answer.
    """

    def __init__(self, server: Server, headers: dict[str, str] | None = None) -> None:
        self._port = server.port
        self._headers = headers or {}
        self._paths = ("/health", "/job/bystander")
        self._over = threading.Event()
        self.seconds: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Ask until it is over."""
        while not self._over.wait(0.02):
            for path in self._paths:
                began = time.monotonic()
                try:
                    status = self._ask(path)
                except (OSError, HTTPException) as error:
                    self.errors.append(f"{path}: {error!r}")
                else:
                    if status != 200:
                        self.errors.append(f"{path}: {status}")
                self.seconds.append(time.monotonic() - began)

    def _ask(self, path: str) -> int:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()


@contextmanager
def undisturbed(server: Server, headers: dict[str, str] | None = None) -> Iterator[Bystander]:
    """See to it that a bystander is answered at once, whatever others do inside."""
    bystander = Bystander(server, headers)
    thread = threading.Thread(target=bystander.run)
    thread.start()
    try:
        yield bystander
        until(lambda: len(bystander.seconds) >= 4)
    finally:
        bystander.stop()
        thread.join()
    assert bystander.errors == []
    assert max(bystander.seconds) < PATIENCE


@contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Open plain connections, with small buffers for what they receive."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(10)
            sock.connect(("127.0.0.1", server.port))
            sockets.append(sock)
        yield sockets
