"""Secrets stay out of the log, whoever puts them in: a driver's error, a traceback, an address.

What is known to be secret is replaced in each line before it is written, and so is what looks like
it: passwords in addresses, tokens in links, the header ``Authorization``.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote

MASK = "***"
#: Anything shorter would mask ordinary words.
_SHORTEST = 4
_LOOKS = (
    (re.compile(r"(://[^\s/@:]*:)[^\s/]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b((?:\w*token|code|password)=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
)
_known: set[str] = set()


def hide(*secrets: str | None) -> None:
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
