"""Whose turn it is to run the database of a home, and starting it again when it dies."""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from jobserver.embedded import port as ports
from jobserver.embedded.daemon import Daemon, provision
from jobserver.embedded.ending import end_stale
from jobserver.embedded.folder import Endpoint, Folder
from jobserver.embedded.pulse import watch
from jobserver.errors import SettingsError

log = logging.getLogger(__name__)

START_SECONDS = 30.0  # until a first answer, in start()
LOCK_SECONDS = 0.1  # between two tries to take the folder over
STEADY_SECONDS = 10.0  # after which an end is not a failed start
PAUSES = (0.1, 5.0)  # before it is started again: the first, and the longest


def uri_of(home: Path) -> str | None:
    """The connection string of the database that another process runs; None before its start."""
    folder = Folder(home)
    endpoint, password = folder.endpoint(), folder.password()
    return _uri(endpoint.port, password) if endpoint and password else None


class EmbeddedServer:
    """The database of a home, shared by every Jobserver process that works there.

    One of these processes has the folder's lock and runs the database. It starts it again, on the
    same port, when it dies or hangs. When that process goes, the database goes with it, and the
    next one takes the lock and starts the database again, on the same port too.

    Parameters
    ----------
    home : Path
        The home. The database lives in its folder ``db``.
    """

    def __init__(self, home: Path) -> None:
        self._folder = Folder(home)
        self._guard = threading.RLock()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._daemon: Daemon | None = None
        self._endpoint: Endpoint | None = None
        self._failure: str | None = None

    @property
    def port(self) -> int | None:
        """Port of the database on 127.0.0.1, or None before it has one."""
        return self._endpoint.port if self._endpoint else None

    @property
    def pid(self) -> int | None:
        """Process id of the database, whichever process runs it, or None before there is one."""
        return self._endpoint.pid if self._endpoint else None

    def start(self) -> str:
        """Start the database, or find it where another process runs it, and wait for its answer.

        Returns
        -------
        str
            A ``mongodb://`` connection string; it holds the password and stays good until `stop`.

        Raises
        ------
        SettingsError
            If the database is not installed, or does not start within 30 s.
        """
        _check_installed()
        self._folder.prepare()
        self._stopping.clear()
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="embedded-database", daemon=True)
        self._thread.start()
        try:
            return self._wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Be done with the database: end it if we run it. May be called more than once."""
        with self._guard:
            self._stopping.set()
            daemon, self._daemon = self._daemon, None
        if daemon is not None:
            daemon.end()
        if self._thread is not None:
            self._thread.join()
        self._thread = self._endpoint = None

    def _wait_ready(self) -> str:
        import pymongo  # noqa: F401 - while the database starts, which takes as long

        deadline = time.monotonic() + START_SECONDS
        while self._failure is None and time.monotonic() < deadline:
            endpoint, password = self._endpoint, self._folder.password()
            if endpoint and password and ports.answers(endpoint.port, 1.0):
                uri = _uri(endpoint.port, password)
                if self._opens(uri) and self._has_started():
                    return uri
            time.sleep(0.01)
        reason = self._failure or f"no answer within {START_SECONDS:g} s"
        raise SettingsError(
            f"The embedded database in {self._folder.database} did not start: {reason}. "
            f"What it wrote is in {self._folder.log}. Move that folder away or restore it from a "
            "backup, or set MONGO_URI to a MongoDB server."
        )

    def _has_started(self) -> bool:
        """From now on it is started again when it ends, unless it just did."""
        with self._guard:
            if self._failure is None:
                self._ready.set()
        return self._ready.is_set()

    def _opens(self, uri: str) -> bool:
        from pymongo import MongoClient
        from pymongo.errors import OperationFailure, PyMongoError

        try:
            with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=1000) as client:
                client.admin.command("ping")
        except OperationFailure as error:
            raise SettingsError(
                f"The embedded database in {self._folder.database} refuses its password. Stop "
                f"every Jobserver of this home, delete {self._folder.own / 'password'} and start "
                "again: then a new password is made, and all data stay."
            ) from error
        except PyMongoError:
            return False
        return True

    def _run(self) -> None:
        """Take turn after turn until stopped; give up only if already the first one fails."""
        pause = PAUSES[0]
        while not self._stopping.is_set():
            began = time.monotonic()
            reason = self._turn()
            with self._guard:
                if not self._ready.is_set():
                    self._failure = reason
            if self._failure is not None or self._stopping.is_set():
                return
            steady = time.monotonic() - began > STEADY_SECONDS
            pause = PAUSES[0] if steady else min(2 * pause, PAUSES[1])
            log.warning("The embedded database ended and is started again: %s", reason)
            self._stopping.wait(pause)

    def _turn(self) -> str:
        """Wait for the lock and run the database once; returns why that ended."""
        try:
            return self._serve() if self._take_lock() else "stopped"
        except (OSError, SettingsError) as error:
            return str(error)
        finally:
            self._folder.unlock()

    def _take_lock(self) -> bool:
        while not self._folder.lock():
            self._endpoint = self._folder.endpoint() or self._endpoint
            if self._stopping.wait(LOCK_SECONDS):
                return False
        return True

    def _serve(self) -> str:
        last = self._folder.endpoint()
        if last is not None:
            end_stale(last, self._folder.database)
        if self._folder.password() is None:
            provision(self._folder)
        daemon = self._launch(last)
        if daemon is None:
            return "stopped"
        try:
            self._announce(daemon)
            return daemon.wait()
        finally:
            daemon.close()

    def _launch(self, last: Endpoint | None) -> Daemon | None:
        port = self.port if self._ready.is_set() else None
        with self._guard:
            if self._stopping.is_set():
                return None
            self._daemon = Daemon(self._folder, port or ports.choose(last.port if last else None))
            return self._daemon

    def _announce(self, daemon: Daemon) -> None:
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._endpoint = Endpoint(port=daemon.port, pid=daemon.pid, started=started)
        self._folder.publish(self._endpoint)
        uri = _uri(daemon.port, self._folder.password() or "")
        threading.Thread(None, watch, "embedded-pulse", (daemon, uri), daemon=True).start()


def _check_installed() -> None:
    if os.name != "posix":
        raise SettingsError(
            "The embedded database needs Linux or macOS: set MONGO_URI to a MongoDB server."
        )
    if importlib.util.find_spec("secantus") is None:
        raise SettingsError(
            'There is no database: pip install "jobserver-rest[embedded]" for the embedded one, '
            "or set MONGO_URI to a MongoDB server."
        )


def _uri(port: int, password: str) -> str:
    options = "authSource=admin&authMechanism=SCRAM-SHA-256&directConnection=true&retryWrites=false"
    return f"mongodb://jobserver:{password}@{ports.HOST}:{port}/jobserver?{options}"
