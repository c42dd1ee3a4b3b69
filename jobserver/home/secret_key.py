"""The key that signs tokens and links."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from jobserver.errors import SettingsError
from jobserver.home.settings import Settings
from jobserver.system.disk import sync
from jobserver.system.logs import redact

log = logging.getLogger(__name__)
FILE = "secret.key"
SHORTEST = 16


def secret_key(settings: Settings) -> str:
    """Return ``SECRET_KEY``, else the key stored in the home, creating it if needed.

    Raises
    ------
    SettingsError
        If the key is too short, or cannot be read or created.
    """
    if settings.SECRET_KEY is not None:
        if len(settings.SECRET_KEY) < SHORTEST:
            raise SettingsError(
                f"SECRET_KEY must have at least {SHORTEST} characters, preferably random ones. "
                "Without it, a key is generated and stored in the home."
            )
        return settings.SECRET_KEY
    path = settings.home / FILE
    try:
        if not path.exists():
            _create(path)
        key = path.read_text(encoding="ascii").strip()
        _make_private(path)
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"The key in {path} cannot be used: {error}. Set SECRET_KEY to a long random string."
        ) from error
    if len(key) < SHORTEST:
        raise SettingsError(f"{path} is damaged. Delete it to have a new key generated.")
    redact(key)
    return key


def _create(path: Path) -> None:
    """Create the key; of several concurrent processes one wins, and all read what it wrote."""
    part = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            sync(file)
        try:
            path.hardlink_to(part)  # unlike a rename, never replaces a key in use
        except FileExistsError:
            log.info("Another process created the key.")
    finally:
        part.unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    """Remove the permissions of others, which a copied key may have."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)
        log.warning(
            "%s could be read by others. Its permissions are fixed; consider a new key.", FILE
        )
