"""The key that signs tokens and links: from the settings, or made once for a home."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from jobserver.durable import sync
from jobserver.errors import SettingsError
from jobserver.masking import hide
from jobserver.settings import Settings

log = logging.getLogger(__name__)

FILE = "secret.key"
SHORTEST = 16


def secret_key(settings: Settings) -> str:
    """``SECRET_KEY``, else the key that is kept in the home; it is made where there is none.

    Raises
    ------
    SettingsError
        If the key is too short, or cannot be read or made.
    """
    if settings.SECRET_KEY is not None:
        if len(settings.SECRET_KEY) < SHORTEST:
            raise SettingsError(
                f"SECRET_KEY has to have at least {SHORTEST} characters, best random ones. "
                "Leave it out, and one is made and kept in the home."
            )
        return settings.SECRET_KEY
    path = settings.home / FILE
    try:
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
        _close_to_others(path)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"The key in {path} cannot be used: {error}. Set SECRET_KEY to a long random text."
        ) from error
    if len(key) < SHORTEST:
        raise SettingsError(f"{path} is damaged. Delete it, and a new key is made.")
    hide(key)
    return key


def _make(path: Path) -> None:
    """Make the key; of several that try at once, one wins and all read what it wrote."""
    part = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            sync(file)
        try:
            path.hardlink_to(part)  # unlike a rename, it never replaces a key that is in use
        except FileExistsError:
            log.info("another process made the key")
    finally:
        part.unlink(missing_ok=True)


def _close_to_others(path: Path) -> None:
    """Take a key that came with too many rights, from a copy say, out of others' sight."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)
        log.warning("%s could be read by others; now it cannot. Consider a new key.", FILE)
