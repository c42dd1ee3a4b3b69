"""The port of the database, on 127.0.0.1: choose it, and see whether a database answers there."""

from __future__ import annotations

import contextlib
import secrets
import socket

from jobserver.errors import SettingsError

HOST = "127.0.0.1"

# Below the ports that systems hand out for outgoing connections (Linux from 32768, macOS from
# 49152): one of those could take the port while the database is being started again.
PORTS = range(20_000, 32_000)


def choose(last: int | None) -> int:
    """Return the port used last if it is free, or else any free one.

    Raises
    ------
    SettingsError
        If none is free.
    """
    others = secrets.SystemRandom().sample(PORTS, 100)
    for port in others if last is None else [last, *others]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    raise SettingsError(f"no free port was found from {PORTS.start} to {PORTS.stop - 1}")


def answers(port: int, seconds: float) -> bool:
    """Tell whether a database on this port answers a ``ping``, waiting so many seconds at most.

    Done by hand, as a driver's client brings threads, retries and time limits of its own. The
    database asks for no login here.
    """
    import bson  # comes with pymongo

    body = bytes(5) + bson.encode({"ping": 1, "$db": "admin"})
    header = (16 + len(body), 1, 0, 2013)  # length, request, answer to none, OP_MSG
    message = b"".join(number.to_bytes(4, "little") for number in header) + body
    try:
        with socket.create_connection((HOST, port), seconds) as connection:
            connection.sendall(message)
            return b"\x01ok\0" + bytes(6) + b"\xf0\x3f" in connection.recv(4096)  # ok: 1.0
    except OSError:
        return False


def nudge(port: int) -> None:
    """Connect and hang up: a server told to end waits 2 s in ``accept`` unless somebody comes."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 0.1):
        return
