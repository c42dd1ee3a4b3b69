"""Paths of the server that users must not see, and their removal from texts."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

#: The folder that the package lies in.
_OWN_FOLDER = Path(__file__).parents[2]


def without(folders: list[str], text: str) -> str:
    """Remove folders from the paths in a text; a folder on its own becomes a dot."""
    for folder in folders:
        plain = folder.rstrip("/")
        text = re.sub(re.escape(plain) + r"(?![\w.-])", ".", text.replace(f"{plain}/", ""))
    return text


@cache
def import_folders() -> list[str]:
    """Return the folders that modules are imported from, the longest first."""
    folders = {folder for folder in sys.path if len(folder) > 1} | {str(_OWN_FOLDER)}
    return sorted(folders, key=len, reverse=True)
