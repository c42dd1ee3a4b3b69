"""Shutdown of a process on SIGTERM, on Ctrl-C, and with its terminal.

No new runs start, those in progress get a grace period, then everything stops. If the terminal is
still there, or was not there before, SIGHUP means that the log was moved: a new file is opened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from jobserver.system.logs import announce

if TYPE_CHECKING:
    from jobserver.server.server import Server

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Where the system names the file that stderr is.
_LOG = Path("/proc/self/fd/2")


def exit_on_sigterm() -> None:
    """Exit with code 0 on SIGTERM, until there is something to shut down in order.

    Children that have been started by then exit when this process does.
    """

    def leave_at_once(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the exit
        sys.exit(0)

    signal.signal(signal.SIGTERM, leave_at_once)


@contextlib.contextmanager
def ending(home: Server, before: Callable[[], None]) -> Iterator[None]:
    """Run the body until a signal stops it, then close the home.

    Parameters
    ----------
    home : Server
        An open home.
    before : callable
        Called after the grace period, before the body is interrupted.
    """
    shutdown = _Shutdown(home, before)
    for number in SIGNALS:
        if number is not signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
            continue  # set by nohup
        signal.signal(number, shutdown.on_signal)
    with contextlib.suppress(SystemExit):
        yield
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    home.close()


def wait(home: Server, announce: Callable[[], None]) -> None:
    """Announce that the home is open, and wait for a signal."""
    with ending(home, lambda: None):
        announce()
        threading.Event().wait()


def leave() -> NoReturn:
    """End the process after its home is closed, with exit code 0.

    A normal exit would wait half a second for pymongo's monitors, which sleep.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def has_terminal() -> bool:
    """Whether the process has a terminal, that has not been closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _log_file() -> Path | None:
    """Return the file that stderr is; None if it is none, or nobody can tell."""
    if not stat.S_ISREG(os.fstat(2).st_mode):
        return None
    return _LOG.readlink() if _LOG.exists() else None


def _reopen(log: Path) -> None:
    """Write to a new file of the same name what has been written to the log so far."""
    old, new = os.fstat(2), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        if os.path.samestat(os.fstat(stream), old):
            os.dup2(new, stream)
    os.close(new)


class _Shutdown:
    """Starts the grace period on the first signal, and ends it on the second."""

    def __init__(self, home: Server, before: Callable[[], None]) -> None:
        self._home = home
        self._before = before
        self._started = False
        self._log = _log_file()
        self._had_terminal = has_terminal()

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM, SIGINT and SIGHUP."""
        if number == signal.SIGHUP and self._had_terminal == has_terminal():
            if self._log:
                _reopen(self._log)
            return
        if self._started:
            raise SystemExit
        self._started = True
        announce("Shutting down: running jobs may finish. Press Ctrl-C again to stop immediately.")
        threading.Thread(target=self._drain, name="ending").start()

    def _drain(self) -> None:
        try:
            self._home.drain()
            self._before()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
