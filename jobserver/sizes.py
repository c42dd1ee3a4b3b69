"""Sizes and numbers, and their text."""

from __future__ import annotations

import re
from decimal import Decimal

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
#: More than any size; integers of the database end there.
MOST_BYTES = 2**63
_UNITS = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
MEMORY_UNITS = ", ".join(_UNITS)
_SIZE = re.compile(rf"([0-9]{{1,18}}(?:\.[0-9]{{1,9}})?) ?({'|'.join(_UNITS)})", re.ASCII)


def exact_size(size: int) -> str:
    """Return a limit exactly, in the largest unit that divides it: ``2 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < KIB or size % KIB:
            return f"{size} {unit}"
        size //= KIB
    return f"{size} GiB"


def rounded_size(size: int) -> str:
    """Return the size of a file, rounded, in units of 1024: ``566 KB``."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < KIB:
            return f"{value:.0f} {unit}"
        value /= KIB
    return f"{value:.0f} TB"


def counted(number: int, noun: str) -> str:
    """Return a number and what it counts, for a message: 1 row, 2 rows."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def parse_size(text: str) -> int | None:
    """Return the bytes that a text with a unit names, such as ``4 GB``; None if it is invalid.

    KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        return None
    size = Decimal(found[1]) * _UNITS[found[2]]
    return int(size) if size == int(size) and 0 < size < MOST_BYTES else None
