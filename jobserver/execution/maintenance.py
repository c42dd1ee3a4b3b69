"""The thread that looks after an executor's runs: leases, cancellations, recovery, the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.claims import CHECKS_PER_LEASE
from jobserver.storage.database import SELECTION_SECONDS
from jobserver.system.logs import about

if TYPE_CHECKING:
    from jobserver.execution.executor import Executor

log = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_STOP_SECONDS = 0.4
_SCAN_SECONDS = 2.0
_TIDY_SECONDS = 600.0
_CLOCK_SECONDS = 60.0


class Order(IntEnum):
    """The order of the actions that are due at once.

    A round ends when the database does not answer. So after an outage, no run is recovered before
    this server renewed its own leases and stored the outcomes in its spool.
    """

    RENEW_LEASES = 1
    STORE_SPOOLED = 2
    STOP_RUNS = 3
    RECOVER_RUNS = 4
    FIND_JOBS = 5
    SEND_MAILS = 6
    TIDY_UP = 7
    COMPARE_CLOCKS = 8
    ANNOUNCE = 9


@dataclass
class PeriodicAction:
    """Something to do every so many seconds.

    Attributes
    ----------
    due : float
        When to do it next, by the monotonic clock.
    """

    order: Order
    seconds: float
    action: Callable[[], None]
    due: float = 0.0

    def run_if_due(self) -> None:
        """Do it, unless it was done a short while ago."""
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.seconds
            self.action()


class Maintenance:
    """Does the periodic actions of an executor, in their `Order`.

    After an outage of the database, the other servers get time to renew their leases before any
    of their runs is recovered: see `_wait_for_others`.

    Parameters
    ----------
    executor : Executor
        Whose runs to look after.
    serves_queue : bool
        Whether to do also what any server of the database can do for all: recover runs whose
        server is gone, find queued jobs, send mails that are due.
    """

    def __init__(self, executor: Executor, *, serves_queue: bool = True) -> None:
        self._executor = executor
        self._lifecycle = executor.lifecycle
        self._over = threading.Event()
        self._mover: threading.Thread | None = None
        self._thread = threading.Thread(target=self._work, name="maintenance", daemon=True)
        self._lease_seconds = executor.settings.LEASE_SECONDS / CHECKS_PER_LEASE
        self.actions = self._own_actions()
        if serves_queue:
            self.actions += self._common_actions()

    def _own_actions(self) -> list[PeriodicAction]:
        return [
            PeriodicAction(Order.RENEW_LEASES, self._lease_seconds, self._renew_leases),
            PeriodicAction(Order.STORE_SPOOLED, _SCAN_SECONDS, self._store_spooled),
            PeriodicAction(Order.STOP_RUNS, _STOP_SECONDS, self._stop_runs),
            PeriodicAction(Order.COMPARE_CLOCKS, _CLOCK_SECONDS, self._compare_clocks),
        ]

    def _common_actions(self) -> list[PeriodicAction]:
        send_mails = self._lifecycle.jobs.notifications.send_due
        return [
            PeriodicAction(Order.RECOVER_RUNS, self._lease_seconds, self._recover_runs),
            PeriodicAction(Order.FIND_JOBS, _SCAN_SECONDS, self._find_jobs),
            PeriodicAction(Order.SEND_MAILS, _SCAN_SECONDS, send_mails),
            PeriodicAction(Order.TIDY_UP, _TIDY_SECONDS, self._tidy_up),
            PeriodicAction(Order.ANNOUNCE, _SCAN_SECONDS, self._announce),
        ]

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, after the present action."""
        self._over.set()
        self._thread.join()
        if self._mover:
            self._mover.join()

    def _work(self) -> None:
        while not self._over.wait(self._pause()):
            try:
                for action in sorted(self.actions, key=lambda each: each.order):
                    self._run(action)
            except StoreUnavailable as error:
                log.warning("%s", error)
                self._wait_for_others()

    def _pause(self) -> float:
        """Return the seconds until the next action is due."""
        due = min(action.due for action in self.actions)
        return max(_TICK_SECONDS, due - time.monotonic())

    def _run(self, action: PeriodicAction) -> None:
        """Do an action if it is due; one that fails does not keep the others from being done."""
        try:
            action.run_if_due()
        except StoreUnavailable:  # the others need the database too
            raise
        except Exception:
            log.exception("a periodic action failed; it will be tried again")

    def _wait_for_others(self) -> None:
        """Give the other servers time to renew their leases before any is checked."""
        pause = self._lease_seconds + SELECTION_SECONDS + 1
        for action in self.actions:
            is_recovery = action.order is Order.RECOVER_RUNS
            action.due = time.monotonic() + pause if is_recovery else 0.0

    def _renew_leases(self) -> None:
        unsure = self._lifecycle.claims.unsure
        if ids := [*self._executor.running, *self._executor.runner.storing, *unsure]:
            self._lifecycle.renew_leases(ids)

    def _store_spooled(self) -> None:
        runner = self._executor.runner
        runner.spool.flush(runner.store)
        is_idle = self._mover is None or not self._mover.is_alive()
        if is_idle and runner.spool.holds_files:
            self._mover = threading.Thread(target=self._move_files, name="mover", daemon=True)
            self._mover.start()

    def _move_files(self) -> None:
        """Store large results in a thread of their own: it may take longer than a lease."""
        runner = self._executor.runner
        try:
            runner.spool.flush(runner.store, large=True)
        except StoreUnavailable as error:
            log.warning("%s", error)
        except Exception:
            log.exception("a large result stays in the spool; it will be tried again")

    def _stop_runs(self) -> None:
        if attempts := self._executor.running:
            for job_id, outcome in self._lifecycle.stop_requests(attempts).items():
                self._executor.stop(outcome, job_id, attempts[job_id])

    def _recover_runs(self) -> None:
        for job_id, state in self._lifecycle.recover():
            with about(job=job_id):
                log.warning("job %s is %s: the lease of its server expired", job_id, state)
            if state is State.QUEUED:
                self._executor.submit(job_id)

    def _announce(self) -> None:
        """Have other servers know which scripts runs here can use."""
        if (versions := self._executor.script_versions) is not None:
            self._executor.workers.announce(versions)

    def _compare_clocks(self) -> None:
        self._lifecycle.database.now()

    def _find_jobs(self) -> None:
        """Find jobs that others queued, or that waited before this server started."""
        if self._executor.idle and not self._executor.draining.is_set():
            waiting = self._executor.find_waiting()
            self._executor.queue_limit.add(waiting)
            for job_id in waiting:
                self._executor.submit(job_id)

    def _tidy_up(self) -> None:
        self._executor.tidy_up()
