"""Sizes in bytes, and how people read them."""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


def exact_size(size: int) -> str:
    """A limit as its administrator wrote it, in the largest unit that fits: ``2 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < KIB or size % KIB:
            return f"{size} {unit}"
        size //= KIB
    return f"{size} GiB"


def rounded_size(size: int) -> str:
    """The size of a file, as the documentation prints it: ``566 KB``, in units of 1024."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < KIB:
            return f"{value:.0f} {unit}"
        value /= KIB
    return f"{value:.0f} TB"
