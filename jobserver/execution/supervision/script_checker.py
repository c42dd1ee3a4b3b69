"""What the server knows of the scripts: it asks a child of its own, and runs no user code."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from jobserver.errors import Problem, ShuttingDown, Unavailable
from jobserver.execution.maps import ActiveMaps
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.child_process import ChildEnded
from jobserver.execution.supervision.supervisor import READY_SECONDS, TICK_SECONDS, ChildSupervisor
from jobserver.execution.supervision.warm_pool import SharedFindings, WarmPool
from jobserver.home.settings import Settings
from jobserver.jobs.outcome import ENDING
from jobserver.processes.forms import function_names
from jobserver.storage.database import Document

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_SECONDS = 10.0
#: Seconds that anybody may wait for their turn, and how many may wait longer, up to a limit: each
#: holds a thread of the server, which has 64 for everything.
PATIENCE_SECONDS = 1.0
PATIENT = 32
TURN_SECONDS = 60.0
STOP_SECONDS = 0.1
#: Seconds that a request waits for modules that are still being imported.
LOAD_SECONDS = 2.0
LOOK_SECONDS = 0.05


class ScriptChecker:
    """The script table, as a child that loaded it describes it.

    Parameters
    ----------
    settings : Settings
        Where scripts are.
    findings : SharedFindings
        What all children of the server find out about scripts.
    """

    def __init__(self, settings: Settings, findings: SharedFindings) -> None:
        setup = setup_message(settings, runs=False)
        self._supervisor = ChildSupervisor(setup, findings, ActiveMaps(lambda: None))
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(PATIENT)
        self._loading = threading.Event()
        self._late: list[str] = []
        self._closed = False

    def start(self) -> None:
        """Load the scripts in the background."""
        threading.Thread(target=self._keep_loading, name="scripts", daemon=True).start()
        self._loading.set()

    def describe(self) -> Document:
        """Every script with its parameters, and what is wrong with modules.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded.
        """
        return self._tried_twice(self._describe)

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Every reason why a script cannot run with its parameters.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded, or a module that may hold it is still being imported.
        """
        question = {"op": "check", "script": script, "has_data": has_data}
        due = time.monotonic() + LOAD_SECONDS
        while (found := self._tried_twice(partial(self._check, question))) is None:
            if time.monotonic() > due:
                raise self._too_early(function_names(script))
            time.sleep(LOOK_SECONDS)  # others may ask meanwhile
        return found

    def close(self) -> None:
        """End the child, and what is asked of it."""
        self._closed = True
        self._loading.set()
        while not self._lock.acquire(timeout=STOP_SECONDS):
            self._supervisor.stop(ENDING)
        self._supervisor.dispose()
        self._lock.release()

    def _describe(self) -> Document:
        loads = self._started()
        self._supervisor.waited(loads.newest, LOAD_SECONDS)
        warm = loads.any_ready()
        table = warm.table if warm and warm.table else {"scripts": [], "errors": []}
        return {"scripts": table["scripts"], "errors": [*table["errors"], *loads.remarks()]}

    def _check(self, question: Document) -> list[Problem] | None:
        """What is wrong with a script; None while a module that may hold it is being loaded."""
        loads = self._started()
        names = function_names(question["script"])
        warm = loads.pick(names)
        if warm is None:
            self._late = loads.late
            return None
        if failed := loads.why_not(warm, names):
            return [Problem("script.name", f"{name} cannot run: {failed[name]}") for name in failed]
        warm.send({**question, "failed": loads.failed})
        self._supervisor.wait_for(lambda: warm.answers, CHECK_SECONDS)
        return [Problem(**problem) for problem in warm.answers.pop(0)["problems"]]

    def _too_early(self, names: list[str]) -> Unavailable:
        late = " and ".join(self._late) or "a module"
        return Unavailable(
            f"The server does not know {' or '.join(names)} yet: {late} is still being imported. "
            "Try again later.",
            retry_after=5,
        )

    def _started(self) -> WarmPool:
        """The warm processes, at least one of which has loaded something."""
        self._supervisor.start()
        self._loading.set()
        loads = self._supervisor.loads
        self._supervisor.wait_for(loads.any_ready, READY_SECONDS)
        return loads

    def _keep_loading(self) -> None:
        """Attend to what is loaded while nobody asks; never for long, as others may ask."""
        while self._loading.wait() and not self._closed:
            with self._lock:
                try:
                    if not self._supervisor.warm:
                        self._supervisor.start()
                    self._supervisor.turn(TICK_SECONDS / 10)
                    if not self._supervisor.loads.is_loading:
                        self._loading.clear()
                except ChildEnded:  # the next question tries again and says so
                    self._supervisor.close()
                    self._loading.clear()

    def _tried_twice(self, action: Callable[[], T]) -> T:
        """Ask the child, and a new one where it had died unnoticed."""
        with self._turn():
            try:
                return action()
            except ChildEnded as ended:
                log.warning("the child that knows the scripts is started again: %s", ended)
            try:
                self._supervisor.close()
                self._check_open()
                return action()
            except ChildEnded as ended:
                self._supervisor.close()
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
