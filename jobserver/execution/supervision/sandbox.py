"""Isolation of code that clients send: bubblewrap, where it is available."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from jobserver.system.protocol import RunSpec

BUBBLEWRAP, PROCESS = "bubblewrap", "process"
_TRY_SECONDS = 10
#: A read-only file system, harmless devices, no other processes, no network.
_OPTIONS = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"),
    *("--unshare-net", "--unshare-pid", "--unshare-ipc"),
)
#: What in a home holds secrets, or what other jobs left.
_HIDDEN = ("config.py", "db", "spool", "secret.key")


@cache
def isolation() -> str:
    """Return ``bubblewrap`` if code can run in it on this system, else ``process``."""
    program = shutil.which("bwrap")
    if program is None:
        return PROCESS
    command = [program, *_OPTIONS, "--", "/bin/true"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return PROCESS
    return PROCESS if done.returncode else BUBBLEWRAP


def wrapper(home: str, spec: RunSpec) -> list[str]:
    """Return the command that starts a child for code; empty where it is a plain process.

    Parameters
    ----------
    home : str
        Folder of the server; its secrets are hidden from the code.
    spec : RunSpec
        The run; the code can write to its folder only.
    """
    if isolation() == PROCESS:
        return []
    writable = ("--bind", spec["folder"], spec["folder"])
    return ["bwrap", *_OPTIONS, *_hidden(Path(home)), *writable, "--"]


def _hidden(home: Path) -> Iterator[str]:
    for name in _HIDDEN:
        path = home / name
        if path.is_dir():
            yield from ("--tmpfs", str(path))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path))
