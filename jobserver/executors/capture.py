"""What one thread prints and logs, told apart from what the others do."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TextIO

Take = Callable[[bytes], None]

_here = threading.local()


class Router(io.TextIOBase):
    """A standard stream that gives what a captured thread writes to its taker."""

    def __init__(self, original: TextIO) -> None:
        self._original = original

    def write(self, text: str) -> int:
        """Write to this thread's taker, or where the stream went before."""
        take: Take | None = getattr(_here, "take", None)
        if take is None:
            return self._original.write(text)
        take(text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Flush the original stream."""
        self._original.flush()


@contextmanager
def captured(take: Take) -> Iterator[None]:
    """Give what this thread prints and logs to ``take`` for a while."""
    _install()
    _here.take = take
    try:
        yield
    finally:
        _here.take = None


@cache
def _install() -> None:
    """Put the routers in place, once in a process."""
    sys.stdout, sys.stderr = Router(sys.stdout), Router(sys.stderr)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda _: getattr(_here, "take", None) is not None)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
