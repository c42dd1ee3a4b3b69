"""What keeps code that clients send apart from the server: bubblewrap, where it is to be had."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

BUBBLEWRAP, PROCESS = "bubblewrap", "process"
_TRY_SECONDS = 10
#: A file system to read, devices without any that matter, no other process, no network.
_WALLS = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"),
    *("--unshare-net", "--unshare-pid", "--unshare-ipc"),
)
#: What of a home holds secrets, or what other jobs left.
_HIDDEN = ("config.py", "db", "spool", "secret.key")


@cache
def isolation() -> str:
    """What code runs in: ``bubblewrap``, or a plain ``process`` where that does not work here."""
    program = shutil.which("bwrap")
    if program is None:
        return PROCESS
    command = [program, *_WALLS, "--", "/bin/true"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return PROCESS
    return PROCESS if done.returncode else BUBBLEWRAP


def sealed(home: str, spec: dict[str, Any]) -> list[str]:
    """What to put before the command of a child that runs code; nothing in a plain process.

    Parameters
    ----------
    home : str
        Folder of the server; what in it holds secrets is hidden.
    spec : dict
        Of the run: its folder is the only one that it can write to.
    """
    if isolation() == PROCESS:
        return []
    writable = ("--bind", spec["folder"], spec["folder"])
    return ["bwrap", *_WALLS, *_hidden(Path(home)), *writable, "--"]


def _hidden(home: Path) -> Iterator[str]:
    for name in _HIDDEN:
        path = home / name
        if path.is_dir():
            yield from ("--tmpfs", str(path))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path))
