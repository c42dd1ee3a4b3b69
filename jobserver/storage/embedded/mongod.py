"""Find a ``mongod`` that runs on this machine, and run it on a Unix socket in ``<home>/db``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobserver.errors import SettingsError
from jobserver.storage.embedded.address import short_path
from jobserver.storage.embedded.folder import MONGOD, DatabaseFolder
from jobserver.storage.embedded.process import Engine

#: Versions of MongoDB tested with this server, as listed in the documentation.
TESTED = ("6.0",)
#: The oldest version that is started.
OLDEST = (6, 0)
PROBE_SECONDS = 20.0
#: Commands that install what the wheel's mongod needs, by package manager.
_INSTALL = {
    "apt-get": "apt-get install libcurl4 libssl3",
    "dnf": "dnf install libcurl openssl-libs xz-libs",
    "zypper": "zypper install libcurl4 libopenssl3 liblzma5",
}
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.(?:so|dylib)[\w.]*)")
_VERSION = re.compile(r"db version v(\d+)\.(\d+)(\S*)")
#: Exit code of a mongod that is older than its files.
NEED_DOWNGRADE = 62
# The first pattern found in the log determines the reason.
_REASONS = (
    (r"No space left on device", "the disk is full"),
    (
        r"unsupported WiredTiger|Unsupported WiredTiger|nvalid featureCompatibilityVersion",
        "a newer MongoDB wrote its files: set MONGOD to its mongod",
    ),
    (r"database corruption|WT_PANIC|WT_TRY_SALVAGE", "its files are damaged"),
    (r"Too many open files", "too many files are open: raise the limit (ulimit -n)"),
    (r"Read-only file system", "its file system is read-only"),
    (r"Permission denied|Operation not permitted", "this user may not write all of its files"),
)


class UnusableProgram(SettingsError):
    """The program does not run here, or is not a supported mongod."""


@dataclass(frozen=True)
class Program:
    """A mongod that runs on this machine.

    Attributes
    ----------
    path : Path
        Its path.
    version : str
        Its version, such as ``6.0.5``.
    """

    path: Path
    version: str


def candidates() -> Iterator[Path]:
    """Yield each installed mongod: the one on PATH, then the one from a PyPI wheel."""
    on_path = shutil.which("mongod")
    if on_path:
        yield Path(on_path)
    spec = importlib.util.find_spec("fiftyone")  # finds the folder, imports nothing
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "db", "bin", "mongod")
        if path.is_file():
            yield path


def probe(path: Path) -> Program:
    """Run a program to get its version.

    Raises
    ------
    UnusableProgram
        If it is not a mongod that runs here; the message says what to do.
    """
    done = _print_version(path)
    found = _VERSION.search(done.stdout)
    if not found:
        raise UnusableProgram(_explain(path, done))
    version = f"{found[1]}.{found[2]}{found[3]}"
    if (int(found[1]), int(found[2])) < OLDEST:
        raise UnusableProgram(
            f"{path} is MongoDB {version}, which is too old. Supported: {', '.join(TESTED)}."
        )
    return Program(path, version)


def _print_version(path: Path) -> subprocess.CompletedProcess[str]:
    if not path.is_file():
        raise UnusableProgram(f"{path} is not a file. Name the program mongod itself.")
    try:
        return subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
    except PermissionError as error:
        raise UnusableProgram(f"{path} may not be executed by this user.") from error
    except OSError as error:  # not a program, or one for another architecture or C library
        raise UnusableProgram(f"{path} is not a program for this machine.") from error
    except subprocess.TimeoutExpired as error:
        raise UnusableProgram(
            f"{path} did not print its version within {PROBE_SECONDS:g} s."
        ) from error


def _explain(path: Path, done: subprocess.CompletedProcess[str]) -> str:
    """Say why a program printed no version."""
    if done.returncode == -signal.SIGILL:
        return f"{path} needs a processor with AVX, which this machine lacks."
    library = _MISSING_LIBRARY.search(done.stderr)
    if library and ("shared librar" in done.stderr or "Library not loaded" in done.stderr):
        return f"{path} needs {library[1]}, which this system lacks. {_how_to_install()}"
    if "GLIBC" in done.stderr:
        return f"{path} needs a newer C library than this system has."
    return f"{path} is not MongoDB's mongod: it did not print a version."


def _how_to_install() -> str:
    for manager, command in _INSTALL.items():
        if shutil.which(manager):
            return f"Install it: {'' if os.geteuid() == 0 else 'sudo '}{command}"
    return "Install the packages of libcurl and OpenSSL 3."


class Mongod(Engine):
    """A mongod without a port or password: the folder's permissions keep others out.

    Parameters
    ----------
    program : Program
        The program to start.
    """

    kind = MONGOD
    advice = "embedded; use a MongoDB of your own in production"

    def __init__(self, program: Program) -> None:
        self._program = program
        self.name = f"{MONGOD} {program.version}"

    def prepare(self, folder: DatabaseFolder) -> None:
        """Check that the file system supports sockets.

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
                f"its file system does not support Unix sockets ({error.strerror}): move the home "
                "to a local disk"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def choose_port(self, last: int | None) -> None:  # noqa: ARG002 - it has none
        """Return None: it does not listen on a port."""
        return

    def command(self, folder: DatabaseFolder, port: int | None) -> list[str]:  # noqa: ARG002 - likewise
        """Return the command line: small files, a small cache, no Javascript, no telemetry."""
        return [
            str(self._program.path),
            *("--dbpath", str(folder.database)),
            # Relative, as a socket's path is limited; without another socket in /tmp.
            *("--bind_ip", f"../{folder.socket.name}", "--nounixsocket"),
            *("--filePermissions", "0700", "--quiet", "--noscripting"),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--wiredTigerCollectionBlockCompressor", "none"),
            *("--wiredTigerJournalCompressor", "none"),
            *("--wiredTigerEngineConfigString", "log=(file_max=1MB,prealloc=false)"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # Our writes sync the journal themselves.
            *("--journalCommitInterval", "500"),
        ]

    def explain(self, folder: DatabaseFolder, code: int) -> str:
        """Return the reason from the log, explained if it is a known one."""
        text = folder.log.read_text(errors="replace")
        if code == NEED_DOWNGRADE:
            return _REASONS[1][1]
        known = (reason for pattern, reason in _REASONS if re.search(pattern, text))
        return next(known, None) or next(_errors(text), f"exit code {code}")


def _errors(log: str) -> Iterator[str]:
    """Yield the messages of a log's fatal lines, and then of its errors."""
    lines = [_parsed(line) for line in log.splitlines()]
    for severity in ("F", "E"):
        for line in lines:
            if line.get("s") == severity:
                attributes = line.get("attr", {})
                reason = attributes.get("reason") or attributes.get("error")
                message = str(line.get("msg", "")).strip().rstrip(".")
                yield f"{message}: {reason}" if reason else message


def _parsed(line: str) -> dict[str, Any]:
    """Parse a line of the log; those of the system's loader are not JSON."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
