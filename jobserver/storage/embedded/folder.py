"""What we keep beside the database's own files, in ``<home>/db/.jobserver``."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.sizes import MIB
from jobserver.storage.embedded.address import HOST, Address, short_path
from jobserver.system.disk import sync

#: The two kinds of databases, and files that only theirs have.
MONGOD, SECANTUS = "mongod", "SecantusDB"
_FILES = {MONGOD: ("_mdb_catalog.wt", "storage.bson"), SECANTUS: ("secantus_collections.wt",)}
#: Size of the log at which it begins anew; the former one is kept beside it.
LOG_SIZE = MIB

# All of our environment that a database sees: what a program needs to start, and no secret.
KEPT = (
    *("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("LANG", "LC_ALL", "TZ", "TMPDIR"),
)


@dataclass(frozen=True)
class DatabaseEndpoint:
    """Where the database of a home listens.

    Attributes
    ----------
    port : int or None
        Its port on 127.0.0.1; None where it listens on the folder's socket.
    pid : int
        The process that has the database open.
    started : str
        When that process was started, RFC 3339, UTC.
    engine : str
        Name and version of the program.
    """

    port: int | None
    pid: int
    started: str
    engine: str = SECANTUS


class DatabaseFolder:
    """The database's folder and our files in it, all for the owner's eyes only.

    Parameters
    ----------
    home : Path
        The home; ``db`` inside it is made by `prepare`.

    Attributes
    ----------
    database : Path
        The folder that belongs to the database.
    own : Path
        The folder for our files, inside of it.
    socket : Path
        Where a mongod listens.
    config : Path
        An empty file, so that SecantusDB looks for no configuration elsewhere.
    log : Path
        What the database has written to stdout and stderr since its last start.
    """

    def __init__(self, home: Path) -> None:
        self.database = home.resolve() / "db"
        self.own = self.database / ".jobserver"
        self.socket = self.database / "mongod.sock"
        self.config = self.own / "secantusd.toml"
        self.log = self.own / "server.log"
        self._endpoint = self.own / "endpoint.json"
        self._password = self.own / "password"
        self._lock: int | None = None

    def prepare(self) -> None:
        """Make the folders.

        Raises
        ------
        SettingsError
            If that is not possible.
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
        fix = "Make room on that disk" if full else "Let this user write there"
        return SettingsError(
            f"The embedded database cannot use {self.database}: {error.strerror}. "
            f"{fix}, or set MONGO_URI to a MongoDB server."
        )

    def kind(self) -> str | None:
        """Return which kind of database wrote the files there, or None if there are none.

        Raises
        ------
        SettingsError
            If this user may not look there.
        """
        try:
            for kind, names in _FILES.items():
                if any((self.database / name).exists() for name in names):
                    return kind
        except OSError as error:
            raise self._unusable(error) from error
        return None

    def address(self, port: int | None) -> Address:
        """Return where a database listens that has this port, or none."""
        return short_path(self.socket) if port is None else (HOST, port)

    def lock(self) -> bool:
        """Take the folder, unless another process has it; the kernel gives it back at our death.

        Returns
        -------
        bool
            Whether the folder is ours now.
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
        """Give the folder back, if we have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lock_descriptor(self) -> tuple[int, ...]:
        """The lock's file descriptor, for a child that must keep the lock while it runs."""
        return () if self._lock is None else (self._lock,)

    def endpoint(self) -> DatabaseEndpoint | None:
        """Read where the database listens, or last listened."""
        try:
            return DatabaseEndpoint(**json.loads(self._endpoint.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def publish(self, endpoint: DatabaseEndpoint) -> None:
        """Tell the other processes of this home where the database listens."""
        _write(self._endpoint, json.dumps(asdict(endpoint)))

    def password(self) -> str | None:
        """Read the password. None means that the database has no user of ours yet."""
        try:
            return self._password.read_text()
        except FileNotFoundError:
            return None

    def keep_password(self, password: str) -> None:
        """Keep the password, once the database knows it."""
        _write(self._password, password)

    def open_log(self) -> int:
        """Empty the log and return a file descriptor for writing to its end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        return os.open(self.log, flags, 0o600)

    def bound_log(self) -> None:
        """Begin the log anew if it has grown too long, and keep what it had in another file."""
        if self.log.stat().st_size > LOG_SIZE:
            shutil.copy(self.log, self.log.with_suffix(".old"))
            os.truncate(self.log, 0)

    def last_words(self, code: int) -> str:
        """Tell why a process ended: the last line of the log, or else its exit code."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].rstrip(".") if lines else f"exit code {code}"


def environment(folder: DatabaseFolder) -> dict[str, str]:
    """Return the environment of a database's process."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder.own)}


def _write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, readable for the owner only."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        sync(file)
    fresh.replace(path)
