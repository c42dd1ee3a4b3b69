"""Finding a ``mongod`` that runs on this machine, and saying what one lacks."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jobserver.errors import SettingsError

#: Versions of MongoDB that this server was tried with, as the documentation lists them.
TRIED = ("6.0",)
#: The oldest one that is started.
OLDEST = (6, 0)
PROBE_SECONDS = 20.0
#: Install commands for what the wheel's mongod needs of the system, by package manager.
_INSTALL = {
    "apt-get": "apt-get install libcurl4 libssl3",
    "dnf": "dnf install libcurl openssl-libs xz-libs",
    "zypper": "zypper install libcurl4 libopenssl3 liblzma5",
}
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.(?:so|dylib)[\w.]*)")
_VERSION = re.compile(r"db version v(\d+)\.(\d+)(\S*)")


class UnusableProgram(SettingsError):
    """A program that does not run here, or is no mongod that can be used."""


@dataclass(frozen=True)
class Program:
    """A mongod that runs on this machine.

    Attributes
    ----------
    path : Path
        Where it is.
    version : str
        Its version, such as ``6.0.5``.
    """

    path: Path
    version: str


def candidates() -> Iterator[Path]:
    """Yield each mongod there is: the one on PATH, then the one that a wheel of PyPI brought."""
    on_path = shutil.which("mongod")
    if on_path:
        yield Path(on_path)
    spec = importlib.util.find_spec("fiftyone")  # finds the folder, imports nothing
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, "db", "bin", "mongod")
        if path.is_file():
            yield path


def probe(path: Path) -> Program:
    """Start a program for a moment to learn its version.

    Raises
    ------
    UnusableProgram
        If it is no mongod that runs here; the message says what to do.
    """
    done = _print_version(path)
    found = _VERSION.search(done.stdout)
    if not found:
        raise UnusableProgram(_explain(path, done))
    version = f"{found[1]}.{found[2]}{found[3]}"
    if (int(found[1]), int(found[2])) < OLDEST:
        raise UnusableProgram(
            f"{path} is MongoDB {version}, which is too old. Supported: {', '.join(TRIED)}."
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
    except OSError as error:  # no program at all, or one of another architecture or C library
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
