"""Names of files that clients may say: no path, no device, nothing that a system rewrites."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,99}", re.ASCII)
_DEVICES = {"con", "prn", "aux", "nul", *(f"{n}{i}" for n in ("com", "lpt") for i in range(10))}


def is_file_name(name: str) -> bool:
    """Whether a name is one of a file: 1 to 100 harmless characters, and no device."""
    stem = name.split(".", maxsplit=1)[0].strip().lower()
    return bool(_NAME.fullmatch(name)) and name == name.rstrip(" .") and stem not in _DEVICES
