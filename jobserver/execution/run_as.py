"""Checks of the setting ``RUN_AS``, with the rights of the user that it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from jobserver.errors import SettingsError
from jobserver.execution.supervision.child_process import clean_environment
from jobserver.system.run_user import RunUser, missing_rights

if TYPE_CHECKING:
    from jobserver.home.settings import Settings

_TRY_SECONDS = 20
_SECRETS = ("config.py", "secret.key", "db", "spool")


def check_run_as(settings: Settings) -> None:
    """Raise `SettingsError` if runs cannot go on as the user ``RUN_AS``, or it sees too much."""
    if settings.RUN_AS is None:
        return
    if settings.EXECUTOR == "dask":
        raise SettingsError("RUN_AS has no effect with Dask: start its workers as that user.")
    try:
        user = RunUser.named(settings.RUN_AS)
    except KeyError as error:
        raise SettingsError(
            f"RUN_AS: this machine has no user {settings.RUN_AS}. Create one: "
            f"useradd --system {settings.RUN_AS}"
        ) from error
    if user.uid in (0, os.geteuid()):
        raise SettingsError(f"RUN_AS must be neither root nor the server's own user: {user.name}.")
    if missing := missing_rights():
        raise SettingsError(
            f"RUN_AS needs a server that is root, or has its capabilities: {', '.join(missing)} "
            "missing."
        )
    if problems := _problems(user, settings):
        raise SettingsError(
            f"RUN_AS: the user {user.name} {'; it '.join(problems)}. To let its group read a "
            f"folder: chgrp -R {user.gid} FOLDER && chmod -R g+rX,g-w FOLDER. To let it through "
            "the home: chmod o+x HOME. To keep it out of a file or folder: chmod go= PATH"
        )


def _problems(user: RunUser, settings: Settings) -> list[str]:
    """Return what the user can or cannot do, found out by a process of it."""
    home, scripts = settings.home, settings.scripts_path
    facts = {
        "read": [str(path) for path in (scripts, *scripts.rglob("*.py")) if path.exists()],
        "enter": [str(home), tempfile.gettempdir()],
        "secret": [str(home / name) for name in _SECRETS],
        "closed": [str(home), str(scripts)],
    }
    if settings.files_path and settings.files_path.exists():
        facts["read"].append(str(settings.files_path))
    command = [sys.executable, "-P", "-m", "jobserver.child.access", json.dumps(facts)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TRY_SECONDS,
            check=False,
            env=clean_environment(user),
            cwd="/",
            **user.identity,
        )
    except OSError:
        return [f"cannot run {sys.executable}"]
    if done.returncode:
        return [f"cannot import Jobserver: {done.stderr.strip().rpartition(chr(10))[2]}"]
    found: list[str] = json.loads(done.stdout)
    return found
