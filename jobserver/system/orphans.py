"""Processes that outlived what should have ended them: a script may kill or stop its guard.

All that is below a guard inherits a mark in its environment, which names the server too. A script
could take the mark off before it goes on; it is there for what was not meant to stay.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import psutil

MARK = "RUN_GUARD"
_LOOKS = 5


def unique_name() -> str:
    """A name that nothing else has: host, process number and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"


def end_marked(mark: str) -> None:
    """Kill every process with a mark."""
    _end(lambda found: found == mark)


def end_abandoned() -> None:
    """Kill the processes whose server was of this machine and is gone."""

    def is_abandoned(mark: str) -> bool:
        host, _, rest = mark.partition(":")
        number = rest.partition(":")[0]
        ours = host == socket.gethostname() and number.isdigit()
        return ours and not psutil.pid_exists(int(number))

    _end(is_abandoned)


def _end(wanted: Callable[[str], bool]) -> None:
    """Kill what has such a mark, and look again for what it started meanwhile."""
    for _ in range(_LOOKS):
        found = [process for process in psutil.process_iter() if wanted(_mark_of(process))]
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        if not found:
            return


def _mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except psutil.Error:  # it is not ours, or gone
        return ""
