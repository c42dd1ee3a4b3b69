r"""Keys of results: any key of a Python dict as one unique string that every MongoDB stores.

Three characters do not go into a stored key as they are: a ``$`` at the start, a NUL, and the
backslash that marks them. ``$c`` is stored as ``\$c``, NUL as ``\0``, a backslash as two. Dots
and empty keys are stored as they are, below the top of a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from jobserver.encoding.text import text_of

_SPECIAL = re.compile(r"\A\$|[\\\0]")
_ESCAPED = re.compile(r"\\([\\0$])")
_SPELLED = {"$": r"\$", "\0": r"\0", "\\": r"\\"}
_MEANT = {"$": "$", "0": "\0", "\\": "\\"}


def escape_key(key: str) -> str:
    """A key as it is stored."""
    return _SPECIAL.sub(lambda match: _SPELLED[match[0]], key)


def unescape_key(key: str) -> str:
    """A stored key as the script named it; the inverse of `escape_key`."""
    return _ESCAPED.sub(lambda match: _MEANT[match[1]], key) if "\\" in key else key


def restore_keys(value: Any) -> Any:
    """A stored result with the keys that the script gave; call it once, on what the store gives.

    Parameters
    ----------
    value : Any
        A result as `encode_result` made it, before or after the database.

    Returns
    -------
    Any
        The same value, dicts and lists made anew.
    """
    if isinstance(value, dict):
        return {unescape_key(key): restore_keys(item) for key, item in value.items()}
    if isinstance(value, list) and not {dict, list}.isdisjoint(map(type, value)):
        return [restore_keys(item) for item in value]
    return value


def unique_keys(labels: Iterable[Any]) -> list[str]:
    """A different string for each label, in order and not yet escaped.

    A string keeps its text. Anything else gets its ``str``; where that is taken already, a number
    is added: ``{5: 1, "5": 2}`` has the keys ``5 (2)`` and ``5``.
    """
    labels = list(labels)
    taken = {label for label in labels if type(label) is str}
    if len(taken) == len(labels) and all(map(str.isascii, taken)):
        return labels
    names = _Names(taken)
    return [names.unique_name(label) for label in labels]


class _Names:
    """Gives out each name once; the strings among the labels have the first claim on theirs."""

    def __init__(self, claimed: set[str]) -> None:
        self._claimed = claimed
        self._given: set[str] = set()
        self._count: dict[str, int] = {}

    def unique_name(self, label: Any) -> str:
        text = text_of(label)
        name = text
        while name in self._given or (name in self._claimed and type(label) is not str):
            self._count[text] = self._count.get(text, 1) + 1
            name = f"{text} ({self._count[text]})"
        self._given.add(name)
        return name
