"""The thread that looks after an executor's runs: leases, cancellations, recovery, the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.claims import LOOKS_PER_LEASE
from jobserver.storage.database import SELECTION_SECONDS

if TYPE_CHECKING:
    from jobserver.execution.executor import Executor

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
ORDER_SECONDS = 0.4
SCAN_SECONDS = 2.0


class PeriodicAction:
    """Something to do every so many seconds."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self.seconds = seconds
        self.due = 0.0
        self._action = action

    def do_if_due(self) -> None:
        """Do it unless it was done a short while ago."""
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.seconds
            self._action()


class Maintenance:
    """Carries out the duties of an executor, one after another.

    Their order matters when the database was away: leases are renewed and spooled outcomes stored
    before anything is recovered. Other servers get the time to do the same: see `_wait_for_others`.

    Parameters
    ----------
    executor : Executor
        Whose runs to look after.
    shared : bool
        Whether to do also what any server of the database can do for all: recover runs that fell
        silent, find queued jobs, post mails that are due.
    """

    def __init__(self, executor: Executor, *, shared: bool = True) -> None:
        self._executor = executor
        self._runs = executor.runs
        self._over = threading.Event()
        self._mover: threading.Thread | None = None
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._beat_seconds = executor.settings.LEASE_SECONDS / LOOKS_PER_LEASE
        self._recovery = PeriodicAction(self._beat_seconds, self._recover)
        self._duties = [
            PeriodicAction(self._beat_seconds, self._renew),
            PeriodicAction(SCAN_SECONDS, self._flush),
            PeriodicAction(ORDER_SECONDS, self._pass_on_orders),
        ]
        if shared:
            self._duties += [
                self._recovery,
                PeriodicAction(SCAN_SECONDS, self._scan),
                PeriodicAction(SCAN_SECONDS, self._runs.jobs.notices.post_due),
            ]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the duty that is being done."""
        self._over.set()
        self._thread.join()
        if self._mover:
            self._mover.join()

    def _keep(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            try:
                for duty in self._duties:
                    self._attend(duty)
            except StoreUnavailable as error:
                log.warning("%s", error)
                self._wait_for_others()

    def _attend(self, duty: PeriodicAction) -> None:
        """Do a duty if it is due; one that fails keeps this thread from no other."""
        try:
            duty.do_if_due()
        except StoreUnavailable:  # the others need the database too
            raise
        except Exception:
            log.exception("a duty failed; it is tried again")

    def _wait_for_others(self) -> None:
        """Let the other servers of the database renew their leases before any is looked at."""
        for duty in self._duties:
            duty.due = 0.0
        self._recovery.due = time.monotonic() + self._beat_seconds + SELECTION_SECONDS + 1

    def _renew(self) -> None:
        unsure = self._runs.claims.unsure
        if ids := [*self._executor.running, *self._executor.runner.storing, *unsure]:
            self._runs.renew_leases(ids)

    def _flush(self) -> None:
        runner = self._executor.runner
        runner.spool.flush(runner.store)
        idle = self._mover is None or not self._mover.is_alive()
        if idle and runner.spool.holds_files:
            self._mover = threading.Thread(target=self._move_files, name="mover", daemon=True)
            self._mover.start()

    def _move_files(self) -> None:
        """Store large results, in a thread of their own: it may take longer than leases last."""
        runner = self._executor.runner
        try:
            runner.spool.flush(runner.store, large=True)
        except StoreUnavailable as error:
            log.warning("%s", error)
        except Exception:
            log.exception("a large result waits in the spool; it is tried again")

    def _pass_on_orders(self) -> None:
        if attempts := self._executor.running:
            for job_id, outcome in self._runs.stop_requests(attempts).items():
                self._executor.stop(outcome, job_id, attempts[job_id])

    def _recover(self) -> None:
        for job_id, state in self._runs.recover():
            log.warning("job %s is %s: its server fell silent", job_id, state)
            if state is State.QUEUED:
                self._executor.submit(job_id)

    def _scan(self) -> None:
        """Find jobs that others queued, or that waited before this server began."""
        if self._executor.idle and not self._executor.draining.is_set():
            waiting = self._runs.waiting()
            self._executor.room.add(waiting)
            for job_id in waiting:
                self._executor.submit(job_id)
