"""MongoDB itself: ``mongod`` on a Unix socket in the private folder ``db``, and on no port."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

from jobserver.errors import SettingsError
from jobserver.storage.embedded.address import short_path
from jobserver.storage.embedded.engine import Engine
from jobserver.storage.embedded.folder import MONGOD, DatabaseFolder
from jobserver.storage.embedded.program import Program

#: Exit code of a mongod that is older than its files.
NEED_DOWNGRADE = 62
# The first pattern that the log has names the reason.
_REASONS = (
    (r"No space left on device", "the disk is full"),
    (
        r"unsupported WiredTiger|Unsupported WiredTiger|nvalid featureCompatibilityVersion",
        "a newer MongoDB wrote its files: name the mongod of that one with MONGOD",
    ),
    (r"database corruption|WT_PANIC|WT_TRY_SALVAGE", "its files are damaged"),
    (r"Too many open files", "too many files are open: raise the limit (ulimit -n)"),
    (r"Read-only file system", "its file system is read-only"),
    (r"Permission denied|Operation not permitted", "this user may not write all of its files"),
)


class Mongod(Engine):
    """A mongod without a port or a password: the folder's permissions keep others out.

    Parameters
    ----------
    program : Program
        The one to start.
    """

    kind = MONGOD
    advice = "embedded; use a MongoDB of your own in production"

    def __init__(self, program: Program) -> None:
        self._program = program
        self.name = f"{MONGOD} {program.version}"

    def prepare(self, folder: DatabaseFolder) -> None:
        """Check that the file system takes sockets.

        Raises
        ------
        SettingsError
            If it does not.
        """
        path = folder.database / "probe.sock"
        path.unlink(missing_ok=True)
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.bind(short_path(path))
        except OSError as error:
            raise SettingsError(
                f"its file system takes no Unix sockets ({error.strerror}); a home needs a local "
                "disk"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def choose_port(self, last: int | None) -> None:  # noqa: ARG002 - it has none
        """Return None: it listens on no port."""
        return

    def command(self, folder: DatabaseFolder, port: int | None) -> list[str]:  # noqa: ARG002 - likewise
        """Return the command line: small files, a small cache, no Javascript, no telemetry."""
        return [
            str(self._program.path),
            *("--dbpath", str(folder.database)),
            # Relative, as a socket's path has a limit; without the other one in /tmp.
            *("--bind_ip", f"../{folder.socket.name}", "--nounixsocket"),
            *("--filePermissions", "0700", "--quiet", "--noscripting"),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--wiredTigerCollectionBlockCompressor", "none"),
            *("--wiredTigerJournalCompressor", "none"),
            *("--wiredTigerEngineConfigString", "log=(file_max=1MB,prealloc=false)"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # Our writes have the journal synced at once; between them it need not be looked at.
            *("--journalCommitInterval", "500"),
        ]

    def explain(self, folder: DatabaseFolder, code: int) -> str:
        """Return the reason that the log gives, in our words if it is a known one."""
        text = folder.log.read_text(errors="replace")
        if code == NEED_DOWNGRADE:
            return _REASONS[1][1]
        known = (reason for pattern, reason in _REASONS if re.search(pattern, text))
        return next(known, None) or next(_errors(text), f"exit code {code}")


def _errors(log: str) -> Iterator[str]:
    """Messages of the fatal lines of a log and, after those, of its errors."""
    lines = [_parsed(line) for line in log.splitlines()]
    for severity in ("F", "E"):
        for line in lines:
            if line.get("s") == severity:
                attributes = line.get("attr", {})
                reason = attributes.get("reason") or attributes.get("error")
                message = str(line.get("msg", "")).strip().rstrip(".")
                yield f"{message}: {reason}" if reason else message


def _parsed(line: str) -> dict[str, Any]:
    """Return a line of the log as JSON; what the system's loader wrote is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
