"""Sizes and numbers, and their text."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


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
