"""One run of the database's process, which ends when ours does."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobserver.storage.embedded.address import Address, nudge
from jobserver.storage.embedded.engine import Engine
from jobserver.storage.embedded.folder import DatabaseEndpoint, DatabaseFolder, environment

if TYPE_CHECKING:
    import psutil
    from pymongo import MongoClient

# sh runs this: it becomes the database, and leaves a watcher behind that reads a pipe from us. The
# pipe ends when we do, even by kill -9, on every system and whichever thread started it. While the
# watcher lives, the system gives the number $$ to no other process: it is the watcher's group.
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
# What is sent, and the seconds it is given. A SIGTERM that another thread of the server happens to
# receive does not wake its main thread, so it is sent again.
STEPS = ((signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGTERM, 7), (signal.SIGKILL, 5))
UNDISTURBED_SECONDS = 0.05
log = logging.getLogger(__name__)
PING_SECONDS = 2.0  # between two looks
FIRST_SECONDS = 0.1  # the same before the first answer
SILENCE_SECONDS = 10.0  # without an answer: hung
RECOVERY_SECONDS = 300.0  # the same before the first answer: after a crash it reads its journal
INTERNAL_ERROR = 1


class DatabaseProcess:
    """One run of the database's process; it ends when ours does.

    Parameters
    ----------
    folder : DatabaseFolder
        The folder it serves. The lock must be ours, and the folder be prepared.
    engine : Engine
        The program.
    port : int, optional
        The port it listens on; a Unix socket otherwise.

    Attributes
    ----------
    address : Address
        Where it listens.
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
                start_new_session=True,  # Ctrl-C is for us: we end it when we are done with it
            )
        finally:
            os.close(log)
        self.pid = self._process.pid

    def wait(self) -> str:
        """Wait until the process has ended, and return why."""
        return self._engine.explain(self._folder, self._process.wait())

    def bound_log(self) -> None:
        """Keep its log short."""
        self._folder.bound_log()

    def kill(self) -> None:
        """End the process by SIGKILL. What it has acknowledged is on the disk."""
        self._process.kill()

    def end(self) -> None:
        """End the process in good order. Another thread must be waiting for it and `close` it."""
        end(self._process.send_signal, self.gone.is_set, self.address)

    def close(self) -> None:
        """Make sure that the process has ended, and its watcher with it."""
        self.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.gone.set()


def end(send: Callable[[int], None], is_gone: Callable[[], bool], address: Address) -> None:
    """End a database in good order, or by SIGKILL if it takes over 10 s.

    Parameters
    ----------
    send : callable
        Sends it a signal.
    is_gone : callable
        Tells whether its process has ended.
    address : Address
        Where it listens.
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
    """End the process of an endpoint if it still runs and really is the database of this folder."""
    import psutil  # needed here only, which is rare

    try:
        process = psutil.Process(endpoint.pid)
        if str(folder.database) in process.cmdline():
            address = folder.address(endpoint.port)
            end(process.send_signal, lambda: _has_ended(process), address)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # or its number is now a stranger's
        return


def _has_ended(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def watch(daemon: DatabaseProcess, uri: str) -> None:
    """Query a database until it ends, and kill it when it falls silent or has broken down."""
    from pymongo import MongoClient

    heard, patience, pause = time.monotonic(), RECOVERY_SECONDS, FIRST_SECONDS
    silence = int(SILENCE_SECONDS * 1000)  # or one that hangs while it is asked would hold us up
    with MongoClient[dict[str, object]](
        uri, serverSelectionTimeoutMS=1000, socketTimeoutMS=silence, retryReads=False
    ) as client:
        while not daemon.gone.wait(pause):
            daemon.bound_log()
            if _answers(daemon, client):
                heard, patience, pause = time.monotonic(), SILENCE_SECONDS, PING_SECONDS
            elif time.monotonic() - heard > patience:
                log.warning("The embedded database was silent for %.0f s and is killed.", patience)
                daemon.kill()


def _answers(daemon: DatabaseProcess, client: MongoClient[dict[str, object]]) -> bool:
    """Return whether the database answers a query that needs its storage.

    One that hangs there may go on to answer ``ping``. One that fails at whatever it is asked, as
    after a full disk, is killed.
    """
    from pymongo.errors import OperationFailure, PyMongoError

    try:
        client.jobserver.jobs.find_one({"_id": 0})
    except OperationFailure as error:
        if error.code == INTERNAL_ERROR:
            log.warning("The embedded database failed and is killed; is its disk full?")
            daemon.kill()
    except PyMongoError:
        return False
    return True
