"""Memory that is free again goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

from jobserver.sizes import KIB

_M_MMAP_THRESHOLD = -3


def hand_back_memory() -> None:
    """Have each large buffer be a mapping of its own, which ends with it.

    The C library of Linux does so until the first is freed; after that it keeps them for reuse, in
    pools of its threads. A server of many threads that streams large results would grow with each
    thread: by 40 MB a download, measured.
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 256 * KIB)
