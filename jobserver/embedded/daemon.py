"""The database's process, and the script that prepares a new database for it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

from jobserver.embedded.ending import end
from jobserver.embedded.folder import Folder
from jobserver.embedded.port import HOST
from jobserver.errors import SettingsError

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

# All of our environment that it sees: what a Python needs to start, no setting and no secret.
KEPT = (
    *("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("LANG", "LC_ALL", "TZ", "TMPDIR"),
)


class Daemon:
    """One run of the database's process; it ends when ours does.

    Parameters
    ----------
    folder : Folder
        The folder it serves. The lock must be ours, and the database have its user.
    port : int
        The port it listens on.

    Attributes
    ----------
    pid : int
        Its process id.
    gone : threading.Event
        Set by `close`.
    """

    def __init__(self, folder: Folder, port: int) -> None:
        self.port = port
        self.gone = threading.Event()
        self._folder = folder
        log = folder.open_log()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", BOUND_TO_US, "secantusd", *_command(folder, port)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                cwd=folder.own,
                env=_environment(folder),
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for us: we end it when we are done with it
            )
        finally:
            os.close(log)
        self.pid = self._process.pid

    def wait(self) -> str:
        """Wait until the process has ended, and tell why: its last line, or its exit code."""
        return self._folder.last_words(self._process.wait())

    def kill(self) -> None:
        """End the process by SIGKILL. What it has acknowledged is on the disk."""
        self._process.kill()

    def end(self) -> None:
        """End the process in good order. Another thread must be waiting for it and `close` it."""
        end(self._process.send_signal, self.gone.is_set, self.port)

    def close(self) -> None:
        """Make sure that the process has ended, and its watcher with it."""
        self.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self.gone.set()


def provision(folder: Folder) -> None:
    """Make the one user of a database that has no password yet, and keep the password.

    Raises
    ------
    SettingsError
        If the folder does not open as a database.
    """
    password = secrets.token_urlsafe(32)
    script = Path(__file__).with_name("provision.py")
    log = folder.open_log()
    try:
        done = subprocess.run(
            [sys.executable, "-P", script, folder.database],
            input=password.encode(),
            stdout=log,
            stderr=log,
            timeout=30,
            check=False,
            cwd=folder.own,
            env=_environment(folder),
            umask=0o077,
            start_new_session=True,
            pass_fds=folder.lock_descriptor,  # should we die, the folder is locked until it ends
        )
    except subprocess.TimeoutExpired as error:
        raise SettingsError("it took over 30 s to make its user") from error
    finally:
        os.close(log)
    if done.returncode != 0:
        raise SettingsError(folder.last_words(done.returncode))
    folder.keep_password(password)  # the last step: without this file all of it is done again


def _command(folder: Folder, port: int) -> list[str]:
    # As a replica set, which it is by default, it writes each change down twice: we need no oplog.
    return [
        *(sys.executable, "-P", "-m", "secantus"),
        *("--config", str(folder.config)),
        *("--host", HOST, "--port", str(port)),
        *("--storage-path", str(folder.database)),
        *("--sync-on-commit", "--auth", "--standalone"),
        *("--cache-size", "256M", "--log-level", "WARNING"),
    ]


def _environment(folder: Folder) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder.own)}
