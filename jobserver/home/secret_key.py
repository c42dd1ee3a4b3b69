"""The key that signs tokens and links: from the settings, or made once for a home."""

from __future__ import annotations

import logging
import os
import re
import secrets
from pathlib import Path
from urllib.parse import unquote

from jobserver.errors import SettingsError
from jobserver.home.settings import Settings
from jobserver.system.disk import sync

log = logging.getLogger(__name__)
FILE = "secret.key"
SHORTEST = 16
MASK = "***"
#: Anything shorter would mask ordinary words.
_SHORTEST = 4
_LOOKS = (
    (re.compile(r"(://[^\s/@:]*:)[^\s/]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b((?:\w*token|code|password)=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
)
_known: set[str] = set()


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
    redact(key)
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


def redact(*secrets: str | None) -> None:
    """Keep some texts out of the log from now on; of an address also the password in it."""
    for secret in filter(None, secrets):
        found = re.search(r"://[^/@]*?:(.+)@", secret)
        password = found[1] if found else ""
        forms = {secret, password, unquote(password)}
        _known.update(form for form in forms if len(form) >= _SHORTEST)


def masked(text: str) -> str:
    """A text without the secrets in it."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, replacement in _LOOKS:
        text = pattern.sub(replacement, text)
    return text


class MaskedFormatter(logging.Formatter):
    """Formats as usual, then takes out the secrets, also those in tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as it is written."""
        return masked(super().format(record))


def mask_log() -> None:
    """Write the log to stderr without secrets, unless something else takes care of it already."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(MaskedFormatter())
        root.addHandler(handler)
