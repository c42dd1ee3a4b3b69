"""Folders for a while, and clearing up those whose process was killed."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import psutil


def temporary_folder(use: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that goes with the block that it is made for; its name tells whose it is.

    Parameters
    ----------
    use : str
        What for, in a word.
    """
    prefix = f"{_ours()}{os.getpid()}-{use}-"
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)


def remove_abandoned() -> None:
    """Remove the folders of processes of this machine that are gone."""
    prefix = _ours()
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        number = path.name.removeprefix(prefix).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _ours() -> str:
    return f"jobserver-{socket.gethostname()}-"
