"""How a process ends on SIGTERM, Ctrl-C and with its terminal.

No new runs begin, those that go on get a grace, then everything stops.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobserver.server.server import Server

SIGNALS = [signal.SIGTERM, signal.SIGINT]
if hasattr(signal, "SIGHUP"):  # of a terminal that is closed
    SIGNALS.append(signal.SIGHUP)


def end_at_once() -> None:
    """Have SIGTERM end this process with exit code 0, as long as there is nothing to end in order.

    What was started by then ends by itself when this process does.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@contextlib.contextmanager
def ending(home: Server, before: Callable[[], None]) -> Iterator[None]:
    """Work until a signal says to end, and end everything that belongs to the home.

    Parameters
    ----------
    home : Server
        An open home.
    before : callable
        Done after the grace, before the work is broken off.
    """
    end = _End(home, before)
    for number in SIGNALS:
        if number is not signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
            continue  # as nohup wants it
        signal.signal(number, end.on_signal)
    with contextlib.suppress(SystemExit):
        yield
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    home.close()


def wait(home: Server, announce: Callable[[], None]) -> None:
    """Tell that the home is open, and do nothing until a signal says to end."""
    with ending(home, lambda: None):
        announce()
        threading.Event().wait()


class _End:
    """The first signal begins the grace, while the work goes on; the second breaks it off."""

    def __init__(self, home: Server, before: Callable[[], None]) -> None:
        self._home = home
        self._before = before
        self._begun = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Handle SIGTERM, SIGINT and SIGHUP."""
        if self._begun:
            raise SystemExit
        self._begun = True
        print("Ending: running jobs may finish. Once more ends them now.", file=sys.stderr)
        threading.Thread(target=self._drain, name="ending").start()

    def _drain(self) -> None:
        try:
            self._home.drain()
            self._before()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
