"""What the server knows about the scripts, from a child of its own: it runs no user code itself."""

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
from jobserver.execution.supervision.guards import Preloader
from jobserver.execution.supervision.supervisor import READY_SECONDS, TICK_SECONDS, ChildSupervisor
from jobserver.execution.supervision.warm_pool import SharedFindings, WarmPool
from jobserver.home.settings import Settings
from jobserver.jobs.outcome import SHUTDOWN
from jobserver.processes.forms import function_names
from jobserver.storage.database import Document

log = logging.getLogger(__name__)

T = TypeVar("T")

_CHECK_SECONDS = 10.0
#: Seconds that any request may wait for its turn; so many requests may wait up to a minute. Each
#: holds one of the server's threads, which are half as many again.
_PATIENCE_SECONDS = 1.0
_PATIENT = 32
_TURN_SECONDS = 60.0
_STOP_SECONDS = 0.1
#: Seconds that a request waits for modules that are still being imported.
_LOAD_SECONDS = 2.0
_LOOK_SECONDS = 0.05


class ScriptChecker:
    """Describes the scripts and checks jobs against them, through a child that loaded them.

    Parameters
    ----------
    settings : Settings
        Where scripts are.
    findings : SharedFindings
        What the server's children found out about scripts.
    preloader : Preloader
        What the server's children are forked from.
    """

    def __init__(self, settings: Settings, findings: SharedFindings, preloader: Preloader) -> None:
        setup = setup_message(settings, runs=False)
        maps = ActiveMaps(lambda: None)
        self._supervisor = ChildSupervisor(setup, findings, maps, preloader)
        self._lock = threading.Lock()
        self._long_waits = threading.BoundedSemaphore(_PATIENT)
        self._loading = threading.Event()
        self._late: list[str] = []
        self._closed = False

    def start(self) -> None:
        """Load the scripts in the background."""
        threading.Thread(target=self._keep_loading, name="scripts", daemon=True).start()
        self._loading.set()

    def describe(self) -> Document:
        """Return every script with its parameters, and what is wrong with modules.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded.
        """
        return self._try_twice(self._describe)

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Return every reason why a script cannot run with its parameters.

        Raises
        ------
        Unavailable
            If the scripts cannot be loaded, or a module that may hold it is still being imported.
        """
        question = {"op": "check", "script": script, "has_data": has_data}
        due = time.monotonic() + _LOAD_SECONDS
        while (found := self._try_twice(partial(self._find_problems, question))) is None:
            if time.monotonic() > due:
                raise self._too_early(function_names(script))
            time.sleep(_LOOK_SECONDS)  # gives others their turn
        return found

    def close(self) -> None:
        """End the child, and the requests that wait for it."""
        self._closed = True
        self._loading.set()
        while not self._lock.acquire(timeout=_STOP_SECONDS):
            self._supervisor.stop(SHUTDOWN)
        self._supervisor.dispose()
        self._lock.release()

    def _describe(self) -> Document:
        pool = self._started_pool()
        self._supervisor.wait(pool.newest, _LOAD_SECONDS)
        warm = pool.any_ready()
        table = warm.table if warm and warm.table else {"scripts": [], "errors": []}
        return {"scripts": table["scripts"], "errors": [*table["errors"], *pool.remarks()]}

    def _find_problems(self, question: Document) -> list[Problem] | None:
        """Return what is wrong with a script; None while a module that may hold it is loading."""
        pool = self._started_pool()
        names = function_names(question["script"])
        warm = pool.pick(names)
        if warm is None:
            self._late = pool.late
            return None
        if failed := pool.why_not(warm, names):
            return [Problem("script.name", f"{name} cannot run: {failed[name]}") for name in failed]
        warm.send({**question, "failed": pool.failed})
        self._supervisor.require(lambda: warm.answers, _CHECK_SECONDS)
        return [Problem(**problem) for problem in warm.answers.pop(0)["problems"]]

    def _too_early(self, names: list[str]) -> Unavailable:
        late = " and ".join(self._late) or "a module"
        return Unavailable(
            f"The server does not know {' or '.join(names)} yet: {late} is still being imported. "
            "Try again later.",
            retry_after=5,
        )

    def _started_pool(self) -> WarmPool:
        """Return the warm processes, once one of them has loaded scripts."""
        self._supervisor.start()
        self._loading.set()
        pool = self._supervisor.pool
        self._supervisor.require(pool.any_ready, READY_SECONDS)
        return pool

    def _keep_loading(self) -> None:
        """Attend to loading while no request does; hold the lock only briefly at a time."""
        while self._loading.wait() and not self._closed:
            with self._lock:
                try:
                    if not self._supervisor.has_child:
                        self._supervisor.start()
                    self._supervisor.turn(TICK_SECONDS / 10)
                    if not self._supervisor.pool.is_loading:
                        self._loading.clear()
                except ChildEnded:  # the next request tries again and reports it
                    self._supervisor.close()
                    self._loading.clear()

    def _try_twice(self, action: Callable[[], T]) -> T:
        """Ask the child, and a new one if it had died unnoticed."""
        with self._turn():
            try:
                return action()
            except ChildEnded as ended:
                log.warning("restarting the child that describes scripts: %s", ended)
            try:
                self._supervisor.close()
                self._check_open()
                return action()
            except ChildEnded as ended:
                self._supervisor.close()
                raise _unavailable(ended) from ended

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Serialize requests; slow scripts must not take up all threads of the server."""
        self._check_open()
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS) and not self._wait_long():
            raise Unavailable(
                "The scripts are still being loaded. Try again later; if this lasts, check what "
                "the scripts do when they are imported, and in on_init.",
                retry_after=5,
            )
        try:
            self._check_open()
            yield
        finally:
            self._lock.release()

    def _wait_long(self) -> bool:
        """Wait up to a minute for a turn; False if too many do already, or it took too long."""
        if not self._long_waits.acquire(blocking=False):
            return False
        try:
            return self._lock.acquire(timeout=_TURN_SECONDS)
        finally:
            self._long_waits.release()

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDown


def _unavailable(ended: ChildEnded) -> Unavailable:
    return Unavailable(
        f"The scripts cannot be loaded: {ended}. See the server's log, fix the scripts, and try "
        "again.",
        retry_after=5,
    )
