"""The address of a database, a port on 127.0.0.1 or a Unix socket, and whether one answers."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import threading
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.system.disk import temporary_folder

HOST = "127.0.0.1"

# Below the ports of outgoing connections (Linux from 32768, macOS from 49152), one of which could
# take the port while the database restarts.
PORTS = range(20_000, 32_000)

#: Longest path of a Unix socket, in bytes.
LONGEST_PATH = 107 if sys.platform == "linux" else 103

#: Host and port, or the path of a Unix socket.
Address = tuple[str, int] | str

_links: dict[Path, _Link] = {}
_guard = threading.Lock()


def choose_port(last: int | None) -> int:
    """Return the last port if it is free, or else any free one.

    Raises
    ------
    SettingsError
        If no port is free.
    """
    others = secrets.SystemRandom().sample(PORTS, 100)
    for port in others if last is None else [last, *others]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return port
    raise SettingsError(f"no free port was found from {PORTS.start} to {PORTS.stop - 1}")


def short_path(path: Path) -> str:
    """Return a path to a socket that is short enough for the system.

    A long path is replaced by one through a link to its folder, in a private temporary folder that
    exists until this process ends.

    Raises
    ------
    SettingsError
        If the paths of temporary folders are too long as well.
    """
    if _fits(str(path)):
        return str(path)
    with _guard:
        if path.parent not in _links:
            _links[path.parent] = _link(path)
        return str(_links[path.parent].path / path.name)


class _Link:
    """A link in a temporary folder, which is locked against cleanup."""

    def __init__(self, folder: tempfile.TemporaryDirectory[str], target: Path) -> None:
        import fcntl  # not on Windows, where start() refuses first

        self._folder = folder
        self._lock = os.open(folder.name, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.path = _path_in(folder)
        self.path.symlink_to(target)


def _path_in(folder: tempfile.TemporaryDirectory[str]) -> Path:
    return Path(folder.name, "d")


def _link(path: Path) -> _Link:
    for make in (_usual_folder, _plain_folder):
        folder = make()
        if _fits(str(_path_in(folder) / path.name)):
            return _Link(folder, path.parent)
        folder.cleanup()
    raise SettingsError(
        f"the path {path} is too long for a Unix socket ({LONGEST_PATH} bytes), and so is the path "
        "of the temporary folder: set TMPDIR to a shorter one"
    )


def _usual_folder() -> tempfile.TemporaryDirectory[str]:
    return temporary_folder("db")


def _plain_folder() -> tempfile.TemporaryDirectory[str]:
    """Return one whose path does not depend on TMPDIR and the host's name, which may be long."""
    return tempfile.TemporaryDirectory(prefix="jobserver-", dir="/tmp")


def _fits(path: str) -> bool:
    return len(os.fsencode(path)) <= LONGEST_PATH


def connect(address: Address, seconds: float) -> socket.socket:
    """Connect to a database within so many seconds.

    Raises
    ------
    OSError
        If nothing listens there.
    """
    if not isinstance(address, str):
        return socket.create_connection(address, seconds)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def answers(address: Address, seconds: float) -> bool:
    """Return whether a database answers a ``ping`` within so many seconds.

    This does not use the driver, whose client has its own threads, retries and timeouts. A ``ping``
    needs no login.
    """
    import bson  # comes with pymongo

    body = bytes(5) + bson.encode({"ping": 1, "$db": "admin"})
    header = (16 + len(body), 1, 0, 2013)  # length, request id, response to, OP_MSG
    message = b"".join(number.to_bytes(4, "little") for number in header) + body
    try:
        with connect(address, seconds) as connection:
            connection.sendall(message)
            return b"\x01ok\0" + bytes(6) + b"\xf0\x3f" in connection.recv(4096)  # ok: 1.0
    except OSError:
        return False


def nudge(address: Address) -> None:
    """Connect and disconnect: SecantusDB waits 2 s in ``accept`` before it ends otherwise."""
    with contextlib.suppress(OSError), connect(address, 0.1):
        return
