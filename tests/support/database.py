"""A MongoDB of our own: it can be killed, hung and given another clock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobserver.storage.database import Database
from jobserver.storage.embedded.address import HOST
from jobserver.storage.embedded.mongod import candidates
from tests.support.server import until

START_SECONDS = 30.0
#: What gives a process another clock.
LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
FAKETIME = [
    path for folder in LIBRARIES for path in Path(folder).glob("faketime/libfaketimeMT.so.1")
]


class OwnDatabase:
    """A mongod on a port, started by us and not supervised.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    environ : dict, optional
        Additions to its environment.
    options : tuple, optional
        Further words of its command line.
    host : str
        Where it listens.
    within : tuple, optional
        Words before its command line.

    Attributes
    ----------
    uri : str
        For ``MONGO_URI``.
    port : int
        Where it listens.
    """

    def __init__(
        self,
        folder: Path,
        environ: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        host: str = HOST,
        within: tuple[str, ...] = (),
    ) -> None:
        self._options = options
        self._within = within
        self.host = host
        folder.mkdir()
        self._storage = folder / "storage"
        self._storage.mkdir()
        self._log = folder / "log"
        self._environ = {**os.environ, **(environ or {})}
        self.port = _free_port()
        self.uri = f"mongodb://{host}:{self.port}/jobserver?directConnection=true"

    def start(self) -> None:
        """Start it, again on the same port, and wait until it answers."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    *self._within,
                    *(next(candidates()), "--dbpath", self._storage, "--quiet"),
                    *("--bind_ip", self.host, "--port", str(self.port), "--nounixsocket"),
                    *("--wiredTigerCacheSizeGB", "0.25", *self._options),
                ],
                stdout=log,
                stderr=log,
                env=self._environ,
            )
        until(self._answers, START_SECONDS)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket() as sock:
            return sock.connect_ex((self.host, self.port)) == 0

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def away(self) -> Iterator[None]:
        """End it, and start it again after the block."""
        self.kill()
        yield
        self.start()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Have it answer nothing during the block."""
        self.stop()
        try:
            yield
        finally:
            self.go_on()

    def stop(self) -> None:
        """Have it answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def own_database(
    folder: Path, environ: dict[str, str] | None = None, options: tuple[str, ...] = ()
) -> Iterator[OwnDatabase]:
    """A database that runs."""
    database = OwnDatabase(folder, environ, options)
    try:
        database.start()
        yield database
    finally:
        database.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def emptied(uri: str, collection: str) -> Iterator[Database]:
    """A database with nothing in a collection, before and afterwards."""
    opened = Database(uri)
    opened[collection].delete_many({})
    yield opened
    opened[collection].delete_many({})
    opened.close()
