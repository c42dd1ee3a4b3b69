"""What the server knows of the scripts: it asks a child of its own, and runs no user code."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from jobserver.database import Document
from jobserver.errors import Problem, ShuttingDown, Unavailable
from jobserver.executors.child_process import ChildEnded
from jobserver.executors.setup import setup_message
from jobserver.executors.shepherd import Shepherd
from jobserver.models.outcome import ENDING
from jobserver.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
#: Seconds that anybody may wait for their turn, and how many may wait longer, up to a limit: each
#: holds a thread of the server, which has 64 for everything.
PATIENCE_SECONDS = 1.0
PATIENT = 32
TURN_SECONDS = 60.0
STOP_SECONDS = 0.1


class Inspector:
    """The script table, as a child that loaded it describes it.

    Parameters
    ----------
    settings : Settings
        Where scripts are.
    """

    def __init__(self, settings: Settings) -> None:
        self._shepherd = Shepherd(setup_message(settings, runs=False))
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PATIENT)
        self._closed = False

    def start(self) -> None:
        """Load the scripts in the background."""
        threading.Thread(target=self._load, name="inspector", daemon=True).start()

    def describe(self) -> Document:
        """Every script with its parameters, and the modules that could not be loaded.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded.
        """
        return self._tried_twice(self._shepherd.start)

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Every reason why a script cannot run with its parameters.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded.
        """
        question = {"op": "check", "script": script, "has_data": has_data}
        answer = self._tried_twice(partial(self._shepherd.ask, question, CHECK_SECONDS))
        return [Problem(**problem) for problem in answer["problems"]]

    def close(self) -> None:
        """End the child, and what is asked of it."""
        self._closed = True
        while not self._lock.acquire(timeout=STOP_SECONDS):
            self._shepherd.stop(ENDING)
        self._shepherd.close()
        self._lock.release()

    def _load(self) -> None:
        with self._lock:
            try:
                self._shepherd.start()
            except ChildEnded:
                return  # the next question tries again and says so

    def _tried_twice(self, action: Callable[[], Document]) -> Document:
        """Ask the child, and a new one where it had died unnoticed."""
        with self._turn():
            try:
                return action()
            except ChildEnded as ended:
                log.warning("the child that knows the scripts is started again: %s", ended)
            try:
                self._check_open()
                return action()
            except ChildEnded as ended:
                raise _unavailable(ended) from ended

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One after another; scripts that load slowly must not take all threads of the server."""
        self._check_open()
        if not self._lock.acquire(timeout=PATIENCE_SECONDS) and not self._waited():
            raise Unavailable(
                "The scripts are still being loaded. Try again later; if this lasts, look for what "
                "the scripts do when they are imported, and in on_init.",
                retry_after=5,
            )
        try:
            self._check_open()
            yield
        finally:
            self._lock.release()

    def _waited(self) -> bool:
        """Wait for a turn in a place for that; False if there was none, or it took too long."""
        if not self._places.acquire(blocking=False):
            return False
        try:
            return self._lock.acquire(timeout=TURN_SECONDS)
        finally:
            self._places.release()

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDown


def _unavailable(ended: ChildEnded) -> Unavailable:
    return Unavailable(
        f"The scripts cannot be loaded: {ended.describe()}. Look into the server's log, and try "
        "again when the scripts are mended.",
        retry_after=5,
    )
