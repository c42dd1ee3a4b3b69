"""What the machine lacks that a home is served on: a disk to write to, or privacy."""

from __future__ import annotations

import os
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.home.secret_key import FILE
from jobserver.home.settings import Settings

_NEW_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'


def on_app_engine() -> bool:
    """Whether this process runs on Google App Engine."""
    return "GAE_APPLICATION" in os.environ


def check_platform(settings: Settings) -> None:
    """Raise `SettingsError` if the settings do not suit what the home is served on."""
    if on_app_engine():
        _check_app_engine(settings)
    home = settings.home
    if settings.MONGO_URI is None and not _is_writable(home / "db"):
        raise SettingsError(
            f"MONGO_URI is not set, and the embedded database cannot write to {home}. Set "
            "JOBSERVER_MONGO_URI to a mongodb:// or mongodb+srv:// URI."
        )
    key = home / FILE
    if settings.LOGIN_REQUIRED and settings.SECRET_KEY is None and not _is_writable(key):
        raise SettingsError(
            f"SECRET_KEY is not set, and a new key cannot be stored in {home}. Set "
            f"JOBSERVER_SECRET_KEY to a long random string, such as {_NEW_KEY} prints."
        )


def _check_app_engine(settings: Settings) -> None:
    if not settings.LOGIN_REQUIRED:
        raise SettingsError(
            "LOGIN_REQUIRED is off, but the address of an App Engine app is public. Set "
            'JOBSERVER_LOGIN_REQUIRED to "true" in app.yaml.'
        )
    if settings.DATAFILE_STORAGE == "folder":
        raise SettingsError(
            "DATAFILE_STORAGE is folder, but the disk of App Engine is read-only. Set "
            "JOBSERVER_DATAFILE_STORAGE to gridfs in app.yaml."
        )


def _is_writable(path: Path) -> bool:
    """Whether a file or folder exists and can be used, or can be created."""
    if path.is_file():
        return os.access(path, os.R_OK)
    return os.access(path if path.exists() else path.parent, os.W_OK)
