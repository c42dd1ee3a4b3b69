"""The executor for hosts without processes: scripts run in threads of the server itself.

For trusted, short functions only. A script shares the server's memory and its fate: it cannot be
stopped, and no limit on its memory is kept. A job that is cancelled or over its time ends at once,
but its script runs on in the background, holds its slot until then, and its result is discarded.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from jobserver.context import current_job
from jobserver.database import Document
from jobserver.errors import Problem
from jobserver.execution import App, Link, execute, problems_of
from jobserver.executors.capture import captured
from jobserver.executors.child_process import ChildEnded
from jobserver.executors.limits import timed_out
from jobserver.executors.local import LocalExecutor
from jobserver.executors.party import Watcher
from jobserver.executors.setup import setup_message
from jobserver.executors.told import ended
from jobserver.models.outcome import Outcome
from jobserver.protocol import Message
from jobserver.provenance import provenance
from jobserver.scripts.registry import Permits, Registry, Sources
from jobserver.settings import Settings

TICK_SECONDS = 0.1


class InProcessScripts:
    """The script table of this process, loaded at the first use and when a file changed.

    Parameters
    ----------
    settings : Settings
        Where scripts are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        """The table."""
        with self._lock:
            if self._registry is None or self._registry.changed():
                folder, modules = self._settings.scripts_path, self._settings.SCRIPT_MODULES
                sources = Sources.of(folder, modules)
                self._registry = Registry.load(sources, Permits(alone=False))
                self._registry.run_on_init(App(setup_message(self._settings)))
            return self._registry

    def start(self) -> None:
        """Load the scripts in the background."""
        threading.Thread(target=lambda: self.registry, name="scripts", daemon=True).start()

    def describe(self) -> Document:
        """Every script with its parameters, and the modules that could not be loaded."""
        return self.registry.describe()

    def problems(self, script: Document, has_data: bool) -> list[Problem]:
        """Every reason why a script cannot run with its parameters."""
        return problems_of(self.registry, script, has_data)

    def close(self) -> None:
        """Nothing to end."""


class ThreadExecutor(LocalExecutor):
    """Runs jobs in threads of the server."""

    cancel_note = (
        "cancelled; the thread executor cannot stop a running script: it runs on in the "
        "background, and its result is discarded"
    )

    def load_scripts(self) -> InProcessScripts:
        """The script table of this process."""
        self._table = InProcessScripts(self.settings)
        return self._table

    def make_host(self) -> InProcess:
        """A host in this process."""
        return InProcess(self.settings, self._table)


class InProcess:
    """Runs one script at a time in a thread of this process.

    Parameters
    ----------
    settings : Settings
        Of the home.
    scripts : InProcessScripts
        The scripts.
    """

    runs = 0

    def __init__(self, settings: Settings, scripts: InProcessScripts) -> None:
        self._home = str(settings.home)
        self._scripts = scripts
        self._thread: threading.Thread | None = None
        self._stopped: Outcome | None = None

    @property
    def warm(self) -> bool:
        """Whether no script runs on that could not be stopped."""
        return self._thread is None or not self._thread.is_alive()

    def start(self) -> None:
        """Load the scripts, and wait for a script that could not be stopped.

        Raises
        ------
        ChildEnded
            If that has to stop too.
        """
        _ = self._scripts.registry
        while self._thread and self._thread.is_alive():
            if self._stopped:
                raise ChildEnded(None)
            self._thread.join(TICK_SECONDS)

    def run(self, spec: Document, timeout: float, watcher: Watcher) -> Outcome:
        """Run a job and tell how it ended; see `jobserver.executors.shepherd.Shepherd.run`."""
        told: queue.SimpleQueue[Callable[[], Outcome | None]] = queue.SimpleQueue()
        work = partial(self._carry_out, spec, watcher, told)
        self._thread = threading.Thread(target=work, name=f"job-{spec['id']}", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + (timeout or float("inf"))
        while not self._stopped:
            try:
                if outcome := told.get(timeout=TICK_SECONDS)():
                    return outcome
            except queue.Empty:
                watcher.tick()
            if time.monotonic() > deadline:
                return timed_out(timeout)
        return self._stopped

    def clear(self) -> None:
        """Forget an order to stop that came too late."""
        self._stopped = None

    def stop(self, outcome: Outcome) -> None:
        """Wait for the present run no longer."""
        self._stopped = outcome

    def close(self) -> None:
        """Nothing to end: a thread ends with its script, or with the server."""

    def _carry_out(
        self,
        spec: Document,
        watcher: Watcher,
        told: queue.SimpleQueue[Callable[[], Outcome | None]],
    ) -> None:
        """Run the script in this thread, and leave what it tells to the slot's thread."""

        def report(fraction: float, message: str | None) -> None:
            told.put(partial(watcher.progress, fraction, message))

        def take(text: bytes) -> None:
            told.put(partial(watcher.output, text))

        def tell(message: Message) -> None:
            told.put(partial(watcher.step, message))

        known = provenance(self._scripts.registry, spec)
        job_id, attempt = spec["id"], spec["attempt"]
        with current_job.entered(job_id, attempt, report, thread=True), captured(take):
            message: Message = execute(self._scripts.registry, spec, self._home, Link(tell))
        told.put(lambda: replace(ended(message, spec["folder"]), provenance=known))
