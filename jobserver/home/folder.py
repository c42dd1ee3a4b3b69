"""The folder of a home: what makes it one, and who can read it."""

from __future__ import annotations

import logging
import os
import shlex
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.home.settings import Settings

log = logging.getLogger(__name__)

_SIGNS = ("config.py", "config.default", "data", "scripts", "db")
_OTHERS_READ, _OTHERS_ENTER = 0o004, 0o001


def is_home(folder: Path) -> bool:
    """Whether a folder is a home, or a checkout, whose top level is one."""
    return any((folder / name).exists() for name in _SIGNS)


def check_home(folder: Path, *, is_named: bool = True) -> None:
    """Raise if a folder that is to be served exists and is not a home.

    Parameters
    ----------
    is_named : bool
        Whether it was named. If not, it is the current folder, which may be empty, too.

    Raises
    ------
    SettingsError
        Before anything is created in it.
    """
    if folder.is_dir() and not is_home(folder) and (is_named or any(folder.iterdir())):
        path, shown = shlex.quote(str(folder)), folder if is_named else "The current folder"
        raise SettingsError(
            f"{shown} is not a home: it has no config.py, data or scripts. Name one with --home, "
            f"or make it one with: jobserver init {path}"
        )


def warn_if_exposed(settings: Settings) -> None:
    """Log what in a home other users of this machine can read, and how to prevent it."""
    parts = [settings.home / "config.py", settings.data_path, settings.scripts_path]
    exposed = [path for path in (*parts, settings.home / "spool") if _is_exposed(path)]
    if exposed:
        names = ", ".join(path.name for path in exposed)
        paths = shlex.join(map(str, exposed))
        log.warning(
            "Other users of this machine can read %s. To prevent it: chmod -R go= %s", names, paths
        )


def _is_exposed(path: Path) -> bool:
    """Whether others can read a file or folder, and enter every folder above it."""
    if os.name != "posix" or not path.exists():
        return False
    entered = all(above.stat().st_mode & _OTHERS_ENTER for above in path.parents)
    return entered and bool(path.stat().st_mode & _OTHERS_READ)
