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
    _kill_all(lambda process: _tag(process) == tag)


def end_abandoned() -> None:
    """Kill the processes of servers that ran on this machine and are gone.

    Processes in containers are left alone, as their servers have other ids there.
    """

    def is_abandoned(process: psutil.Process) -> bool:
        host, _, rest = _tag(process).partition(":")
        pid = rest.partition(":")[0]
        is_local = host == socket.gethostname() and pid.isdigit()
        is_gone = is_local and not is_alive(int(pid))
        return is_gone and _pid_namespace(process.pid) == _pid_namespace(os.getpid())

    _kill_all(is_abandoned)


def _kill_all(is_wanted: Callable[[psutil.Process], bool]) -> None:
    """Kill the processes wanted, and look again for what they started meanwhile."""
    for _ in range(_LOOKS):
        found = [process for process in psutil.process_iter() if is_wanted(process)]
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        if not found:
            return


def _pid_namespace(pid: int) -> str:
    """Return in which namespace a process has its id; empty where there are none, or it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - not a path
    except OSError:
        return ""


def _tag(process: psutil.Process) -> str:
    try:
        return process.environ().get(TAG, "")
    except psutil.Error:  # it belongs to another user, or is gone
        return ""
