"""Our files beside those of the database, in ``<home>/db/.jobserver``."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.sizes import MIB
from jobserver.storage.embedded.address import HOST, Address, short_path
from jobserver.system.disk import sync

#: The two kinds of databases, and files that only one of them has.
MONGOD, SECANTUS = "mongod", "SecantusDB"
_FILES = {MONGOD: ("_mdb_catalog.wt", "storage.bson"), SECANTUS: ("secantus_collections.wt",)}
#: Size at which the log is rotated; one old log is kept.
LOG_SIZE = MIB

# Environment variables passed to the database: what a program needs to start, and no secrets.
KEPT = (
    *("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("LANG", "LC_ALL", "TZ", "TMPDIR"),
)


@dataclass(frozen=True)
class DatabaseEndpoint:
    """Address and process of a home's database.

    Attributes
    ----------
    port : int or None
        Its port on 127.0.0.1; None for the folder's socket.
    pid : int
        Its process id.
    started : str
        Start of the process, RFC 3339, UTC.
    engine : str
        Name and version of the program.
    """

    port: int | None
    pid: int
    started: str
    engine: str = SECANTUS


class DatabaseFolder:
    """The database's folder and our files in it, all private to the user.

    Parameters
    ----------
    home : Path
        The home; `prepare` creates ``db`` in it.

    Attributes
    ----------
    database : Path
        Folder of the database.
    own : Path
        Folder of our files, inside of it.
    socket : Path
        Socket of a mongod.
    config : Path
        An empty file, so that SecantusDB reads no other configuration.
    log : Path
        Output of the database since its last start.
    """

    def __init__(self, home: Path) -> None:
        self.database = home.resolve() / "db"
        self.own = self.database / ".jobserver"
        self.socket = self.database / "mongod.sock"
        self.config = self.own / "secantusd.toml"
        self.log = self.own / "server.log"
        self._endpoint = self.own / "endpoint.json"
        self._password = self.own / "password"
        self._complete = self.own / "complete"
        self._lock: int | None = None

    def prepare(self) -> None:
        """Create the folders.

        Raises
        ------
        SettingsError
            If that fails.
        """
        try:
            for folder in (self.database, self.own):
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
            self.config.touch(mode=0o600)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> SettingsError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "Free space on that disk" if full else "Give this user write permission"
        return SettingsError(
            f"The embedded database cannot use {self.database}: {error.strerror}. "
            f"{fix}, or set MONGO_URI to a MongoDB server."
        )

    def kind(self) -> str | None:
        """Return the kind of database that wrote the files; None if there are none.

        Raises
        ------
        SettingsError
            If this user may not read the folder.
        """
        try:
            for kind, names in _FILES.items():
                if any((self.database / name).exists() for name in names):
                    return kind
        except OSError as error:
            raise self._unusable(error) from error
        return None

    def address(self, port: int | None) -> Address:
        """Return the address of a database with this port, or with none."""
        return short_path(self.socket) if port is None else (HOST, port)

    def lock(self) -> bool:
        """Lock the folder, unless another process has; the kernel unlocks it when we die.

        Returns
        -------
        bool
            Whether the folder is locked by us now.
        """
        import fcntl  # not on Windows, where start() refuses first

        descriptor = os.open(self.own / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Unlock the folder if we have locked it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock_descriptor(self) -> tuple[int, ...]:
        """The lock's file descriptor, for a child that must keep the lock while it runs."""
        return () if self._lock is None else (self._lock,)

    def endpoint(self) -> DatabaseEndpoint | None:
        """Return the current or last endpoint of the database."""
        try:
            return DatabaseEndpoint(**json.loads(self._endpoint.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def publish(self, endpoint: DatabaseEndpoint) -> None:
        """Publish the endpoint to the other processes of this home."""
        _write(self._endpoint, json.dumps(asdict(endpoint)))

    def password(self) -> str | None:
        """Return the password; None as long as the database has no user of ours."""
        try:
            return self._password.read_text()
        except FileNotFoundError:
            return None

    def keep_password(self, password: str) -> None:
        """Store the password once the database knows it."""
        _write(self._password, password)

    def mark_complete(self) -> None:
        """Record that the database has started once: from now on its files may hold data.

        Raises
        ------
        SettingsError
            If that fails.
        """
        if self._complete.exists():
            return
        try:  # several processes of a home may do so at once
            with os.fdopen(os.open(self._complete, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                sync(file)
        except OSError as error:
            raise self._unusable(error) from error

    def is_incomplete(self) -> bool:
        """Return whether there are files of a database whose first start was cut off."""
        complete = self._complete.exists() or self.password() is not None
        return not complete and any(self.database.glob("WiredTiger*"))

    def set_aside(self) -> Path:
        """Move the database's files into a folder of their own, so that it can start afresh.

        Returns
        -------
        Path
            The folder.
        """
        aside = Path(tempfile.mkdtemp(prefix="incomplete-", dir=self.own))
        for path in self.database.iterdir():
            if path != self.own:
                path.rename(aside / path.name)
        return aside

    def open_log(self) -> int:
        """Empty the log and return a file descriptor that appends to it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        return os.open(self.log, flags, 0o600)

    def rotate_log(self) -> None:
        """Move the log to another file if it is too long."""
        if self.log.stat().st_size > LOG_SIZE:
            shutil.copy(self.log, self.log.with_suffix(".old"))
            os.truncate(self.log, 0)

    def last_line(self, code: int) -> str:
        """Return the last line of the log, or else the exit code of the process."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].rstrip(".") if lines else f"exit code {code}"


def environment(folder: DatabaseFolder) -> dict[str, str]:
    """Return the environment of a database's process."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder.own)}


def _write(path: Path, text: str) -> None:
    """Write a file completely or not at all, readable only by its owner."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        sync(file)
    fresh.replace(path)
