"""Texts of failures as a job holds them."""

from __future__ import annotations

from jobserver.sizes import exact_size

#: Characters of a message; the log has the whole text.
LONGEST_MESSAGE = 4000


def memory_exceeded(limit: int) -> str:
    """What a run that took too much memory is told."""
    return f"memory limit of {exact_size(limit)} exceeded" if limit else "the memory is used up"


def clipped(text: str) -> str:
    """A text as a message of a job can hold it: not endless, and of whole characters."""
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE] + " ..."
    return text.encode(errors="replace").decode()
