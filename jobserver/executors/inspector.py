"""What the server knows of the scripts: it asks a child of its own, and runs no user code."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from jobserver.database import Document
from jobserver.errors import Problem, Unavailable
from jobserver.executors.child_process import ChildEnded
from jobserver.executors.setup import setup_message
from jobserver.executors.shepherd import Shepherd
from jobserver.settings import Settings

log = logging.getLogger(__name__)

CHECK_SECONDS = 20.0


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
        """End the child."""
        self._shepherd.close()

    def _load(self) -> None:
        with self._lock:
            try:
                self._shepherd.start()
            except ChildEnded:
                return  # the next question tries again and says so

    def _tried_twice(self, action: Callable[[], Document]) -> Document:
        """Ask the child, and a new one where it had died unnoticed."""
        with self._lock:
            try:
                return action()
            except ChildEnded as ended:
                log.warning("the child that knows the scripts is started again: %s", ended)
            try:
                return action()
            except ChildEnded as ended:
                raise _unavailable(ended) from ended


def _unavailable(ended: ChildEnded) -> Unavailable:
    return Unavailable(
        f"The scripts cannot be loaded: {ended.describe()}. Look into the server's log, and try "
        "again when the scripts are mended.",
        retry_after=5,
    )
