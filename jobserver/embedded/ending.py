"""Ending a database, ours or one that a killed process left behind."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobserver.embedded.address import Address, nudge
from jobserver.embedded.folder import Endpoint, Folder

if TYPE_CHECKING:
    import psutil

# What is sent, and the seconds it is given. A SIGTERM that another thread of the server happens to
# receive does not wake its main thread, so it is sent again.
STEPS = ((signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGTERM, 7), (signal.SIGKILL, 5))
UNDISTURBED_SECONDS = 0.05


def end(send: Callable[[int], None], is_gone: Callable[[], bool], address: Address) -> None:
    """End a database in good order, or by SIGKILL if it takes over 10 s.

    Parameters
    ----------
    send : callable
        Sends it a signal.
    is_gone : callable
        Tells whether its process has ended.
    address : Address
        Where it listens.
    """
    for number, seconds in STEPS:
        send(number)
        sent = time.monotonic()
        while (waited := time.monotonic() - sent) < seconds:
            if is_gone():
                return
            if waited > UNDISTURBED_SECONDS:  # the thread that is nudged must not get the signal
                nudge(address)
            time.sleep(0.01)


def end_stale(endpoint: Endpoint, folder: Folder) -> None:
    """End the process of an endpoint if it still runs and really is the database of this folder."""
    import psutil  # needed here only, which is rare

    try:
        process = psutil.Process(endpoint.pid)
        if str(folder.database) in process.cmdline():
            address = folder.address(endpoint.port)
            end(process.send_signal, lambda: _has_ended(process), address)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # or its number is now a stranger's
        return


def _has_ended(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
