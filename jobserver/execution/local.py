"""The default executor: threads of the server, each owning one warm child process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

from jobserver.data.files import DataFiles
from jobserver.errors import StoreUnavailable
from jobserver.execution.executor import Executor
from jobserver.execution.job_queue import JobQueue
from jobserver.execution.maintenance import Maintenance
from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.child_process import ChildEnded
from jobserver.execution.supervision.supervisor import ChildSupervisor
from jobserver.home.settings import Settings
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.claims import Claim
from jobserver.jobs.outcome import ENDING, Outcome, interrupted
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RESTART_SECONDS = 1.0


class LocalExecutor(Executor):
    """Runs jobs in ``WORKERS`` slots."""

    #: What ended the runs that `drain` interrupts.
    shut_down = "the server was shut down"

    def __init__(self, database: Database, datafiles: DataFiles, settings: Settings) -> None:
        super().__init__(database, datafiles, settings)
        self.waiting = JobQueue()
        self.maps = ActiveMaps(self.waiting.call)
        self.slots = [Slot(self, number) for number in range(settings.workers)]
        self._keeper = self.make_keeper()

    def make_keeper(self) -> Maintenance:
        """What looks after the runs."""
        return Maintenance(self)

    def start(self) -> None:
        """Start the slots, and the keeper that looks after their runs."""
        for slot in self.slots:
            slot.thread.start()
        self._keeper.start()

    def submit(self, job_id: JobId) -> None:
        """Leave a queued job to the next free slot."""
        self.waiting.put(job_id)

    def next_job(self, seconds: float) -> JobId | None:
        """The job to run next: one whose claim may have been made, or that which waited longest."""
        unsure = self.runs.claims.unsure
        return unsure[0] if unsure else self.waiting.take(seconds)

    def left(self, job_id: JobId) -> None:
        """Take note that a slot is through with a job that waited."""

    @property
    def idle(self) -> bool:
        """Whether no job is known to wait."""
        return self.waiting.empty

    @property
    def running(self) -> dict[JobId, int]:
        """Id and attempt of each run that goes on here."""
        jobs = (slot.job for slot in self.slots)
        return {job["_id"]: job["_run"]["attempt"] for job in jobs if job is not None}

    def stop(
        self, outcome: Outcome, job_id: JobId | None = None, attempt: int | None = None
    ) -> None:
        """End an attempt of a job, any of it, or all runs, with an outcome; returns at once."""
        for slot in self.slots:
            slot.stop(outcome, job_id, attempt)

    def drain(self, grace: float) -> None:
        """Take no more jobs, give those that run ``grace`` seconds, then interrupt them."""
        self.draining.set()
        self.waiting.call()
        deadline = time.monotonic() + grace
        for slot in self.slots:
            slot.stop_idle()
        for slot in self.slots:
            slot.thread.join(max(0.0, deadline - time.monotonic()))
        for slot in self.slots:
            while slot.thread.is_alive():  # one that was just claiming began a run meanwhile
                self.stop(interrupted(self.shut_down))
                slot.thread.join(POLL_SECONDS)
        self._keeper.stop()


class Slot:
    """One place for a run: a thread that owns a child."""

    def __init__(self, executor: LocalExecutor, number: int) -> None:
        self.executor = executor
        setup = setup_message(executor.settings)
        self.host = ChildSupervisor(setup, executor.findings, executor.maps)
        self.job: Document | None = None
        self._share: SlotShare | None = None
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._work, name=f"slot-{number}", daemon=True)

    def stop(self, outcome: Outcome, job_id: JobId | None, attempt: int | None) -> None:
        """End an attempt of a job, any of it, or whatever goes on here, with an outcome."""
        with self._lock:
            if job_id is None or self._is_at(job_id, attempt):
                self.host.stop(outcome)

    def stop_idle(self) -> None:
        """End what goes on without a job, such as a child that still loads its scripts."""
        with self._lock:
            if self.job is None and self._share is None:
                self.host.stop(ENDING)

    def _is_at(self, job_id: JobId, attempt: int | None) -> bool:
        job = self.job
        if job is None or job["_id"] != job_id:
            return False
        return attempt in (None, job["_run"]["attempt"])

    def _work(self) -> None:
        while not self.executor.draining.is_set():
            try:
                self.host.start()
                job_id = self.executor.next_job(POLL_SECONDS)
                if job_id is not None:
                    self._run(job_id)
                elif share := self.executor.maps.pick():
                    self._lend(share)
            except (ChildEnded, StoreUnavailable, OSError) as error:
                log.warning("a slot waits: %s", error)
                self.executor.draining.wait(RESTART_SECONDS)
            except Exception:  # a slot lives as long as the server
                log.exception("a slot had to begin anew")
                self.host.close()
                self.executor.draining.wait(RESTART_SECONDS)
        self.host.dispose()

    def _run(self, job_id: JobId) -> None:
        """Claim a job and run it, and then those whose claims go along with the end of the last."""
        with ExitStack() as leaving:
            leaving.callback(self.executor.left, job_id)
            job = self.executor.runs.claim(job_id, self.executor.waiting)
            self.executor.room.leave(job_id)
            while job is not None:
                job = self._carry_out(job, leaving)

    def _carry_out(self, job: Document, leaving: ExitStack) -> Document | None:
        """Run a claimed job; the next one, if it is claimed then."""
        claims: list[Claim] = []

        def following() -> Claim | None:
            claims.extend(self._following(leaving))
            return claims[0] if claims else None

        self._occupy(job)
        try:
            state = self.executor.runner.run_job(job, self.host, following)
            self.executor.ended.labels(state or "spooled").inc()
        finally:
            self._occupy(None)
        if state is State.QUEUED:
            self.executor.submit(job["_id"])
        return claims[0].job if claims and self.executor.runs.claims.make(claims[0]) else None

    def _following(self, leaving: ExitStack) -> Iterator[Claim]:
        """The claim of the job that waited longest, if this slot could run it at once."""
        executor = self.executor
        if not self.host.warm or executor.draining.is_set():
            return
        if job_id := executor.waiting.take(0):
            leaving.callback(executor.left, job_id)
            executor.room.leave(job_id)
            if claim := executor.runs.claims.prepare(job_id, executor.waiting):
                yield claim

    def _lend(self, share: SlotShare) -> None:
        """Leave this slot to the map of another until a job waits."""
        executor = self.executor
        self._share = share
        try:
            share.lend(lambda: not executor.waiting.empty or executor.draining.is_set())
        finally:
            self._share = None

    def _occupy(self, job: Document | None) -> None:
        """Say what runs here; an order to stop is only ever meant for that."""
        with self._lock:
            self.job = job
            self.host.clear()
