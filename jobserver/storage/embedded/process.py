"""The process of the database: start, watch and end it. It ends when ours does."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobserver.storage.embedded.address import Address, nudge
from jobserver.storage.embedded.folder import DatabaseEndpoint, DatabaseFolder, environment

if TYPE_CHECKING:
    import psutil
    from pymongo import MongoClient

# Run by sh, which becomes the database and leaves a watcher behind that reads a pipe from us. The
# pipe closes when we end, even by kill -9, on every system and whichever thread started it. While
# the watcher lives, no other process gets the id $$: it is the watcher's process group.
BOUND_TO_US = """
exec 3<&0 </dev/null
(
    read -r line <&3
    kill -TERM $$ || exit
    for i in 1 2 3 4 5 6 7 8 9 10 11; do
        sleep 0.2
        kill -0 $$ || exit
    done
    kill -KILL $$
) >/dev/null 2>&1 &
exec "$@" 3<&-
"""
# Signals, and the seconds to wait after each. A SIGTERM received by another thread of the database
# does not wake its main thread, so it is sent again.
STEPS = ((signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGTERM, 7), (signal.SIGKILL, 5))
UNDISTURBED_SECONDS = 0.05
log = logging.getLogger(__name__)
PING_SECONDS = 2.0  # between two queries
FIRST_SECONDS = 0.1  # between two queries before the first answer
SILENCE_SECONDS = 10.0  # without an answer before it counts as hung
RECOVERY_SECONDS = 300.0  # likewise before the first answer: after a crash it reads its journal
INTERNAL_ERROR = 1


class Engine(ABC):
    """A program that serves the database in a home's ``db``.

    Attributes
    ----------
    kind : str
        ``mongod`` or ``SecantusDB``.
    name : str
        The kind and its version.
    advice : str
        Its description in the first line of the server.
    """

    kind: str
    name: str
    advice: str

    @abstractmethod
    def prepare(self, folder: DatabaseFolder) -> None:
        """Prepare the folder before the program starts.

        Raises
        ------
        SettingsError
            If the folder cannot be served.
        """

    @abstractmethod
    def choose_port(self, last: int | None) -> int | None:
        """Return the port to listen on, if possible the last one; None for a Unix socket."""

    @abstractmethod
    def command(self, folder: DatabaseFolder, port: int | None) -> list[str]:
        """Return the command line of the program, which runs in ``folder.own``."""

    @abstractmethod
    def explain(self, folder: DatabaseFolder, code: int) -> str:
        """Return why the program ended, from its log or else its exit code."""


class DatabaseProcess:
    """A running process of the database, which ends when ours does.

    Parameters
    ----------
    folder : DatabaseFolder
        The folder it serves, prepared and locked by us.
    engine : Engine
        The program.
    port : int, optional
        The port it listens on; a Unix socket otherwise.

    Attributes
    ----------
    address : Address
        Its address.
    pid : int
        Its process id.
    gone : threading.Event
        Set by `close`.
    """

    def __init__(self, folder: DatabaseFolder, engine: Engine, port: int | None = None) -> None:
        self.port = port
        self.address = folder.address(port)
        self.gone = threading.Event()
        self._folder = folder
        self._engine = engine
        log = folder.open_log()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", BOUND_TO_US, "database", *engine.command(folder, port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                cwd=folder.own,
                env=environment(folder),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for us: we end it when we are done
            )
        finally:
            os.close(log)
        self.pid = self._process.pid

    def wait(self) -> str:
        """Wait for the end of the process, and return its reason."""
        return self._engine.explain(self._folder, self._process.wait())

    def rotate_log(self) -> None:
        """Keep its log short."""
        self._folder.rotate_log()

    def kill(self) -> None:
        """Kill the process; everything it acknowledged is on the disk."""
        self._process.kill()

    def end(self) -> None:
        """End the process gracefully. Another thread must wait for it and `close` it."""
        end(self._process.send_signal, self.gone.is_set, self.address)

    def close(self) -> None:
        """Make sure that the process and its watcher have ended."""
        self.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.gone.set()


def end(send: Callable[[int], None], is_gone: Callable[[], bool], address: Address) -> None:
    """End a database gracefully, or by SIGKILL after 10 s.

    Parameters
    ----------
    send : callable
        Sends it a signal.
    is_gone : callable
        Returns whether its process has ended.
    address : Address
        Its address.
    """
    for number, seconds in STEPS:
        send(number)
        sent = time.monotonic()
        while (waited := time.monotonic() - sent) < seconds:
            if is_gone():
                return
            if waited > UNDISTURBED_SECONDS:  # the thread that is nudged must not get the signal
                nudge(address)
            time.sleep(0.01)


def end_stale(endpoint: DatabaseEndpoint, folder: DatabaseFolder) -> None:
    """End the process of an endpoint if it still runs and is the database of this folder."""
    import psutil  # rarely needed

    try:
        process = psutil.Process(endpoint.pid)
        if str(folder.database) in process.cmdline():
            address = folder.address(endpoint.port)
            end(process.send_signal, lambda: _has_ended(process), address)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # or its id belongs to another process
        return


def _has_ended(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def watch(daemon: DatabaseProcess, uri: str) -> None:
    """Query a database until it ends; kill it if it does not answer or has failed."""
    from pymongo import MongoClient

    heard, patience, pause = time.monotonic(), RECOVERY_SECONDS, FIRST_SECONDS
    silence = int(SILENCE_SECONDS * 1000)  # otherwise a hung database would block us
    with MongoClient[dict[str, object]](
        uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=silence, retryReads=False
    ) as client:
        while not daemon.gone.wait(pause):
            daemon.rotate_log()
            if _answers(daemon, client):
                heard, patience, pause = time.monotonic(), SILENCE_SECONDS, PING_SECONDS
            elif time.monotonic() - heard > patience:
                log.warning("Killing the embedded database: no answer for %.0f s.", patience)
                daemon.kill()


def _answers(daemon: DatabaseProcess, client: MongoClient[dict[str, object]]) -> bool:
    """Return whether the database answers a query that needs its storage.

    A database with hung storage may still answer ``ping``. One that fails at any query, as after a
    full disk, is killed.
    """
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        client.jobserver.jobs.find_one({"_id": 0})
    except OperationFailure as error:
        if error.code == INTERNAL_ERROR:
            log.warning("Killing the embedded database: it failed; is its disk full?")
            daemon.kill()
    except PyMongoError:
        return False
    return True
