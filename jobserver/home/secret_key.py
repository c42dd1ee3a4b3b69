"""The key that signs tokens and links; and the log kept free of it, and of forged lines."""

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
#: A shorter secret is not masked: it may be an ordinary word.
_SHORTEST_MASKED = 4
_PATTERNS = (
    (re.compile(r"(://[^\s/@:]*:)[^\s/]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b((?:\w*token|code|password)=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
)
_known: set[str] = set()


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


def redact(*secrets: str | None) -> None:
    """Mask secrets in the log from now on, and the password in a URL."""
    for secret in filter(None, secrets):
        found = re.search(r"://[^/@]*?:(.+)@", secret)
        password = found[1] if found else ""
        spellings = {secret, password, unquote(password)}
        _known.update(each for each in spellings if len(each) >= _SHORTEST_MASKED)


def masked(text: str) -> str:
    """Return a text with its secrets masked."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


class MaskedFormatter(logging.Formatter):
    """Masks secrets in log records, tracebacks included, and escapes what could forge others.

    A path or a name may hold line breaks and commands for terminals. So a message is one line, and
    the lines of a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text, secrets masked."""
        lines = masked(super().format(record)).split("\n")
        return "\n  ".join(map(_escaped, lines))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base class
        """Return the message as one line."""
        return _escaped(super().formatMessage(record))


def _escaped(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def mask_log() -> None:
    """Log to stderr with secrets masked, unless logging is already configured."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(MaskedFormatter())
        root.addHandler(handler)
