"""Processes that outlived their guard, which a script may kill or stop.

Everything below a guard inherits a tag in its environment that also names the server. A script
could remove the tag on purpose; it is there for processes that were left by accident.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import psutil

from jobserver.system.process_tree import is_alive

#: Name of the environment variable.
TAG = "RUN_GUARD"
_LOOKS = 5


def unique_name() -> str:
    """Return a unique name: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"


def end_tagged(tag: str) -> None:
    """Kill every process with a tag."""
    _kill_all(lambda found: found == tag)


def end_abandoned() -> None:
    """Kill the processes of servers that ran on this machine and are gone."""

    def is_abandoned(tag: str) -> bool:
        host, _, rest = tag.partition(":")
        pid = rest.partition(":")[0]
        is_local = host == socket.gethostname() and pid.isdigit()
        return is_local and not is_alive(int(pid))

    _kill_all(is_abandoned)


def _kill_all(is_wanted: Callable[[str], bool]) -> None:
    """Kill the processes with such a tag, and look again for what they started meanwhile."""
    for _ in range(_LOOKS):
        found = [process for process in psutil.process_iter() if is_wanted(_tag(process))]
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        if not found:
            return


def _tag(process: psutil.Process) -> str:
    try:
        return process.environ().get(TAG, "")
    except psutil.Error:  # it belongs to another user, or is gone
        return ""
