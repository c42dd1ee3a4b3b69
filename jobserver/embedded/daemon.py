"""One run of the database's process, which ends when ours does."""

from __future__ import annotations

import os
import subprocess
import threading

from jobserver.embedded.ending import end
from jobserver.embedded.engine import Engine
from jobserver.embedded.folder import Folder, environment

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


class Daemon:
    """One run of the database's process; it ends when ours does.

    Parameters
    ----------
    folder : Folder
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

    def __init__(self, folder: Folder, engine: Engine, port: int | None = None) -> None:
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
