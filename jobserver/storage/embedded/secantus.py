"""SecantusDB, the fall-back: a MongoDB written in Python that runs on any system."""

from __future__ import annotations

import importlib.util
import os
import secrets
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.storage.embedded.address import HOST, choose_port
from jobserver.storage.embedded.folder import SECANTUS, DatabaseFolder, environment
from jobserver.storage.embedded.process import Engine

DISTRIBUTION = "secantusdb"


def is_installed() -> bool:
    """Return whether the package is installed."""
    return importlib.util.find_spec("secantus") is not None


class Secantus(Engine):
    """SecantusDB on a port of 127.0.0.1, with a password."""

    kind = SECANTUS
    advice = "embedded, beta; use MongoDB in production"

    def __init__(self) -> None:
        self.name = f"{SECANTUS} {version(DISTRIBUTION)}"

    def prepare(self, folder: DatabaseFolder) -> None:
        """Create the database's user, if it does not exist."""
        if folder.password() is None:
            _provision(folder)

    def choose_port(self, last: int | None) -> int:
        """Return the last port if it is free, or else any free one."""
        return choose_port(last)

    def command(self, folder: DatabaseFolder, port: int | None) -> list[str]:
        """Return the command line. As a replica set it would write every change twice."""
        return [
            *(sys.executable, "-P", "-m", "secantus"),
            *("--config", str(folder.config)),
            *("--host", HOST, "--port", str(port)),
            *("--storage-path", str(folder.database)),
            *("--sync-on-commit", "--auth", "--standalone"),
            *("--cache-size", "256M", "--log-level", "WARNING"),
        ]

    def explain(self, folder: DatabaseFolder, code: int) -> str:
        """Return the last line of the log, or else the exit code."""
        return folder.last_line(code)


def _provision(folder: DatabaseFolder) -> None:
    """Create the user of a new database, and store its password.

    Raises
    ------
    SettingsError
        If the folder cannot be opened as a database.
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
            env=environment(folder),
            umask=0o077,
            start_new_session=True,
            pass_fds=folder.lock_descriptor,  # if we die, the folder stays locked until it ends
        )
    except subprocess.TimeoutExpired as error:
        raise SettingsError("creating its user took more than 30 s") from error
    finally:
        os.close(log)
    if done.returncode != 0:
        raise SettingsError(folder.last_line(done.returncode))
    folder.keep_password(password)  # last: without this file, everything is repeated
