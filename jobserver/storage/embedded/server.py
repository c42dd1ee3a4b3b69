"""Run the database of a home in one of its processes, and restart it when it dies."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from jobserver.errors import SettingsError
from jobserver.storage.embedded.address import HOST, answers
from jobserver.storage.embedded.choice import check_kind, choose_engine
from jobserver.storage.embedded.folder import DatabaseEndpoint, DatabaseFolder
from jobserver.storage.embedded.process import DatabaseProcess, Engine, end_stale, watch

log = logging.getLogger(__name__)

START_SECONDS = 30.0  # until the first answer, in start()
LOCK_SECONDS = 0.1  # between two attempts to lock the folder
STEADY_SECONDS = 10.0  # after which an end does not count as a failed start
PAUSES = (0.1, 5.0)  # before a restart: the first, and the longest


def uri_of(home: Path) -> str | None:
    """Return the connection string of a database run by another process; None before its start."""
    folder = DatabaseFolder(home)
    endpoint = folder.endpoint()
    return _uri(folder, endpoint) if endpoint else None


class EmbeddedServer:
    """The database of a home, shared by all Jobserver processes of that home.

    The process that has locked the folder runs the database, and restarts it at the same address
    when it dies or hangs. When this process ends, so does the database; then another process locks
    the folder and restarts the database, again at the same address.

    Parameters
    ----------
    home : Path
        The home; the database is in its folder ``db``.
    program : str, optional
        The setting ``MONGOD``.
    any_kind : bool
        Whether the fall-back serves its files even if mongod runs here.
    """

    def __init__(self, home: Path, program: str | None = None, *, any_kind: bool = False) -> None:
        self._folder = DatabaseFolder(home)
        self._program = program
        self._any_kind = any_kind
        self._engine: Engine | None = None
        self._guard = threading.RLock()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._daemon: DatabaseProcess | None = None
        self._endpoint: DatabaseEndpoint | None = None
        self._failure: str | None = None

    @property
    def port(self) -> int | None:
        """Port of the database on 127.0.0.1, or None for a socket."""
        return self._endpoint.port if self._endpoint else None

    @property
    def pid(self) -> int | None:
        """Process id of the database, even if another process runs it; None before its start."""
        return self._endpoint.pid if self._endpoint else None

    @property
    def description(self) -> str:
        """Program that serves the database, for the first line of the server."""
        if self._endpoint is None or self._engine is None:
            return "embedded"
        return f"{self._endpoint.engine} ({self._engine.advice})"

    def start(self) -> str:
        """Start the database, unless another process runs it, and wait for its answer.

        Returns
        -------
        str
            A ``mongodb://`` connection string, valid until `stop`; it may contain a password.

        Raises
        ------
        SettingsError
            If no program can serve the database, or it does not start within 30 s.
        """
        self._engine = choose_engine(self._folder, self._program, any_kind=self._any_kind)
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
        """End the database if we run it. Can be called more than once."""
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
            endpoint = self._endpoint
            uri = _uri(self._folder, endpoint) if endpoint else None
            if endpoint and uri and answers(self._folder.address(endpoint.port), 1.0):
                opens = self._opens(uri)
                if opens and self._has_started():
                    return uri
            time.sleep(0.01)
        reason = self._failure or f"no answer within {START_SECONDS:g} s"
        raise SettingsError(
            f"The embedded database in {self._folder.database} did not start: {reason}. "
            f"Its output is in {self._folder.log}. Fix the cause, restore the folder from a "
            "backup, or set MONGO_URI to a MongoDB server."
        )

    def _has_started(self) -> bool:
        """Mark the database as ready, so that it is restarted when it ends, unless it just did."""
        with self._guard:
            if self._failure is None:
                self._folder.mark_complete()  # before anything is stored
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
                "again: this sets a new password and keeps all data."
            ) from error
        except PyMongoError:
            return False
        return True

    def _run(self) -> None:
        """Run the database again and again until stopped; give up only if the first start fails."""
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
            log.warning("Restarting the embedded database, which ended: %s", reason)
            self._stopping.wait(pause)

    def _turn(self) -> str:
        """Wait for the lock and run the database once; return why it ended."""
        try:
            return self._serve() if self._take_lock() else "stopped"
        except OSError as error:
            return error.strerror or str(error)
        except SettingsError as error:
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
            end_stale(last, self._folder)
        assert self._engine is not None  # noqa: S101 - start() chose it before this thread began
        check_kind(self._folder, self._engine)  # another process may have made a new database
        self._engine.prepare(self._folder)
        incomplete = self._folder.is_incomplete()
        reason = self._serve_once(self._engine, last)
        if incomplete and self._folder.is_incomplete() and not self._stopping.is_set():
            aside = self._folder.set_aside()
            log.warning(
                "Starting the embedded database afresh: its first start was cut off "
                "before anything was stored (%s). What it left is in %s.",
                reason,
                aside,
            )
            reason = self._serve_once(self._engine, last)
        return reason

    def _serve_once(self, engine: Engine, last: DatabaseEndpoint | None) -> str:
        daemon = self._launch(engine, last)
        if daemon is None:
            return "stopped"
        try:
            self._announce(daemon, engine)
            return daemon.wait()
        finally:
            daemon.close()

    def _launch(self, engine: Engine, last: DatabaseEndpoint | None) -> DatabaseProcess | None:
        port = self.port if self._ready.is_set() else None
        with self._guard:
            if self._stopping.is_set():
                return None
            port = port or engine.choose_port(last.port if last else None)
            self._daemon = DatabaseProcess(self._folder, engine, port)
            return self._daemon

    def _announce(self, daemon: DatabaseProcess, engine: Engine) -> None:
        started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._endpoint = DatabaseEndpoint(daemon.port, daemon.pid, started, engine.name)
        self._folder.publish(self._endpoint)
        uri = _uri(self._folder, self._endpoint) or ""
        threading.Thread(None, watch, "embedded-pulse", (daemon, uri), daemon=True).start()


def _uri(folder: DatabaseFolder, endpoint: DatabaseEndpoint) -> str | None:
    """Return the connection string of a database; None before it has its user."""
    address = folder.address(endpoint.port)
    options = "directConnection=true&retryWrites=false"
    if isinstance(address, str):
        return f"mongodb://{quote(address, safe='')}/jobserver?{options}"
    password = folder.password()
    if password is None:
        return None
    login = "authSource=admin&authMechanism=SCRAM-SHA-256"
    return f"mongodb://jobserver:{password}@{HOST}:{endpoint.port}/jobserver?{login}&{options}"
