"""The guards of children: each in an interpreter of its own, or forked by the preloader."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

from jobserver.execution.supervision.child_process import ChildEnded, clean_environment, read
from jobserver.system.orphans import TAG, end_tagged, unique_name
from jobserver.system.process_tree import kill
from jobserver.system.run_user import RunUser

log = logging.getLogger(__name__)

#: Seconds that the preloader may take to end.
_END_SECONDS = 2.0


class FreshGuard:
    """A guard in an interpreter of its own.

    Parameters
    ----------
    channel, life : int
        Descriptors of the channel of its child, and of its standard input.
    wrapper : sequence of str
        Command to start it with; see `jobserver.execution.supervision.sandbox`.
    user : RunUser, optional
        The user as whom it runs; otherwise our own.
    words : sequence of str
        Further words of its command line.
    """

    def __init__(
        self,
        channel: int,
        life: int,
        wrapper: Sequence[str] = (),
        user: RunUser | None = None,
        words: Sequence[str] = (),
    ) -> None:
        self._tag = unique_name()
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-P", "-m", "jobserver.child", str(channel), *words],
            stdin=life,
            stdout=subprocess.DEVNULL,
            pass_fds=[channel],
            # What code can reach in a sandbox must not be the server's log.
            stderr=subprocess.PIPE if wrapper else None,
            env=clean_environment(user) | {TAG: self._tag},
            cwd="/",
            start_new_session=True,
            **(user.identity if user else {}),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end; see `Guard`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def signal(self, order: signal.Signals) -> None:
        """Send it a signal; see `Guard`."""
        self._process.send_signal(order)

    def clear_up(self) -> None:
        """Log what a sandbox wrote, and end what is left if the guard itself was killed."""
        if self._process.stderr:
            self._log_errors(self._process.stderr)
        if self._process.returncode:
            end_tagged(self._tag)

    def _log_errors(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        if text := read(stream.fileno()).decode(errors="replace"):
            log.warning("the process of a sandbox wrote: %r", text)
        stream.close()


class ForkedGuard:
    """A guard that the preloader forks; what it leaves when it is killed, the preloader ends.

    Parameters
    ----------
    news : int
        A pipe that brings its process id, and closes when it ends.
    release : callable
        Called in the end, with whether it was ever forked.
    """

    def __init__(self, news: int, release: Callable[[bool], None]) -> None:
        self._news = news
        self._reported = b""
        self._has_ended = False
        self._release = release
        os.set_blocking(news, False)

    @property
    def pid(self) -> int | None:
        """Its process id; None before it was forked."""
        line, newline, _ = self._reported.partition(b"\n")
        return int(line) if newline else None

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end; see `Guard`."""
        if self._has_ended:
            return True
        due = None if seconds is None else time.monotonic() + seconds
        readable = select.poll()
        readable.register(self._news, select.POLLIN)
        while not self._has_ended:
            left = None if due is None else max(0.0, due - time.monotonic()) * 1000
            if not readable.poll(left):
                return False
            piece = read(self._news)
            self._reported += piece
            self._has_ended = not piece
        return True

    def signal(self, order: signal.Signals) -> None:
        """Send it a signal; see `Guard`."""
        if not self.wait(0) and self.pid:
            kill(self.pid, order)

    def clear_up(self) -> None:
        """Release it; see `Guard`."""
        os.close(self._news)
        self._release(self.pid is not None)


class Preloader:
    """Has guards forked from a process that has imported what all children need.

    That process starts with the first child and ends with the last. It runs no user code.

    Parameters
    ----------
    user : str or None
        The user as whom children run, if it is not the server's.
    """

    def __init__(self, user: str | None) -> None:
        self._user = user
        self._lock = threading.Lock()
        self._children = 0
        self._has_forked = False
        self._process: FreshGuard | None = None

    def fork(self, channel: int, life: int) -> ForkedGuard:
        """Order a guard, which is forked at once or after the imports.

        Parameters
        ----------
        channel, life
            See `FreshGuard`.

        Raises
        ------
        ChildEnded
            If the process to fork just ended.
        """
        ours, news = os.pipe()
        try:
            with self._lock:
                try:
                    self._order(channel, life, news)
                except ConnectionError:  # it was killed, and has not quite ended
                    self._stop()
                    self._order(channel, life, news)
                self._children += 1
        except OSError as error:
            os.close(ours)
            raise ChildEnded from error
        finally:
            os.close(news)
        return ForkedGuard(ours, self._release)

    def _order(self, *files: int) -> None:
        process = self._running()
        process.signal(signal.SIGCONT)  # a script may have stopped it
        socket.send_fds(self._orders, [b"!"], [*files])

    def _running(self) -> FreshGuard:
        if self._process is None or self._process.wait(0):
            self._stop()
            user = RunUser.named(self._user) if self._user else None
            self._orders, theirs = socket.socketpair()
            with theirs:
                self._process = FreshGuard(
                    theirs.fileno(), subprocess.DEVNULL, user=user, words=["preload"]
                )
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._orders.close()
        if not self._process.wait(_END_SECONDS if self._has_forked else 0):
            self._process.signal(signal.SIGKILL)
            self._process.wait(None)
        self._process.clear_up()
        self._process = None
        self._has_forked = False

    def _release(self, was_forked: bool) -> None:
        """End the process after its last child, at once if it is still importing."""
        with self._lock:
            self._children -= 1
            self._has_forked = self._has_forked or was_forked
            if not self._children:
                self._stop()
