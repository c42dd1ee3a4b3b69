"""A database of our own beside the servers: it can be stopped, hung and given another clock."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobserver.embedded.port import HOST

from tests.conftest import until

START_SECONDS = 30.0


class OwnDatabase:
    """The program behind the embedded server, started by us and watched by nobody.

    Parameters
    ----------
    folder : Path
        Where it keeps its files.
    environ : dict, optional
        Additions to its environment.

    Attributes
    ----------
    uri : str
        For ``MONGO_URI``.
    """

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        folder.mkdir()
        self._storage = folder / "storage"
        self._empty = folder / "empty.toml"
        self._empty.touch()
        self._log = folder / "log"
        self._environ = {**os.environ, **(environ or {})}
        self._port = _free_port()
        self.uri = f"mongodb://{HOST}:{self._port}/jobserver?directConnection=true"

    def start(self) -> None:
        """Start it, again on the same port, and wait until it answers."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "secantus", "--config", str(self._empty)),
                    *("--host", HOST, "--port", str(self._port)),
                    *("--storage-path", str(self._storage), "--sync-on-commit"),
                ],
                stdout=log,
                stderr=log,
                env=self._environ,
            )
        until(self._answers, START_SECONDS)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket() as sock:
            return sock.connect_ex((HOST, self._port)) == 0

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
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def own_database(folder: Path, environ: dict[str, str] | None = None) -> Iterator[OwnDatabase]:
    """A database that runs."""
    database = OwnDatabase(folder, environ)
    database.start()
    try:
        yield database
    finally:
        database.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port
