"""A wire between a client and a server, which can be cut in the midst of a request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

_PIECE = 2**16


class Wire:
    """Passes bytes on in both directions.

    Attributes
    ----------
    address : str
        What clients connect to.
    port : int
        Port of the server.
    answers, requests : list of int
        Each entry cuts the wire once: after so many bytes of an answer or of a request.
    instead : list of bytes
        Each entry is sent to the client in place of an answer, and ends the connection.
    away : bool
        Whether connections end at once.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: list[int] = []
        self.requests: list[int] = []
        self.instead: list[bytes] = []
        self.away = False
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)  # ends the thread that waits in accept
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self.away:
            self.cuts += 1
            client.close()
            return
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            back = threading.Thread(target=self._pass, args=(server, client, self.answers))
            back.start()
            self._pass(client, server, self.requests)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket, cuts: list[int]) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if self.instead and cuts is self.answers:
                    target.sendall(self.instead.pop(0))
                    break
                if self.away or (cuts and cuts[0] <= len(piece)):
                    self.cuts += 1
                    target.sendall(piece[: 0 if self.away else cuts.pop(0)])
                    break
                if cuts:
                    cuts[0] -= len(piece)
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to a server."""
    with closing(Wire(port)) as wire:
        yield wire
