"""The default executor: threads of the server, each owning one warm child process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from jobserver.data.files import DataFiles
from jobserver.errors import StoreUnavailable
from jobserver.execution.executor import Executor
from jobserver.execution.job_queue import JobQueue
from jobserver.execution.maintenance import Maintenance
from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision.active_run import Recorder
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.child_process import ChildEnded
from jobserver.execution.supervision.sandbox import isolation
from jobserver.execution.supervision.supervisor import ChildSupervisor
from jobserver.home.settings import Settings
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.claims import Claim
from jobserver.jobs.outcome import SHUTDOWN, Outcome, interrupted
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId
from jobserver.system.logs import log_run
from jobserver.system.protocol import RunSpec

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
_RESTART_SECONDS = 1.0
#: Seconds after which a job that was left to others is looked at again.
_LEFT_SECONDS = 5.0


class LocalExecutor(Executor):
    """Runs jobs in ``WORKERS`` slots.

    Parameters
    ----------
    database, datafiles, settings
        See `Executor`.
    serves_queue : bool
        Whether it also looks after the queue: finds queued and interrupted jobs, and runs jobs
        with retries left again. Otherwise it runs only the jobs that are submitted.
    shutdown_reason : str
        What interrupts the runs that `drain` cuts off.
    release : callable
        Called with each job's id once its slot is done with it.
    """

    def __init__(
        self,
        database: Database,
        datafiles: DataFiles,
        settings: Settings,
        *,
        serves_queue: bool = True,
        shutdown_reason: str = "the server was shut down",
        release: Callable[[JobId], None] = lambda _: None,
    ) -> None:
        super().__init__(database, datafiles, settings)
        self.serves_queue = serves_queue
        self.release = release
        self.queue = JobQueue()
        self.maps = ActiveMaps(self.queue.wake_all)
        self.slots = [Slot(self, number) for number in range(settings.workers)]
        self._shutdown = interrupted(shutdown_reason)
        self._left: dict[JobId, float] = {}
        self._maintenance = Maintenance(self, serves_queue=serves_queue)

    def start(self) -> None:
        """Start the slots, and the maintenance of their runs."""
        for slot in self.slots:
            slot.thread.start()
        self._maintenance.start()
        if self.settings.PROCESS_EVAL_ALLOWED:
            setup = setup_message(self.settings)
            threading.Thread(target=isolation, args=(setup,), daemon=True).start()

    def submit(self, job_id: JobId) -> None:
        """Leave a queued job to the next free slot."""
        self.queue.put(job_id)

    def next_job(self, seconds: float) -> JobId | None:
        """Return the job to run next: one whose claim may have been made, else the oldest."""
        unsure = self.lifecycle.claims.unsure
        return unsure[0] if unsure else self.queue.take(seconds)

    def is_left(self, job_id: JobId, missing: Collection[str]) -> bool:
        """Whether a job is left to others, as they have the scripts that are missing here."""
        is_left = self.serves_queue and self.workers.others_have(missing)
        if is_left:
            self._left[job_id] = time.monotonic() + _LEFT_SECONDS
        return is_left

    def lacking_hosts(self) -> str:
        """Return where a script was looked for; nothing if there is one host only."""
        hosts = self.workers.hosts()
        is_one = self.serves_queue and len(hosts) == 1
        return "" if is_one else f" Looked for on: {', '.join(hosts)}."

    def find_waiting(self) -> list[JobId]:
        """Return the ids of the queued jobs, without those that were left to others lately."""
        waiting, now = super().find_waiting(), time.monotonic()
        self._left = {one: self._left[one] for one in waiting if self._left.get(one, 0.0) > now}
        return [job_id for job_id in waiting if job_id not in self._left]

    @property
    def idle(self) -> bool:
        """Whether no job is known to wait."""
        return self.queue.is_empty

    @property
    def children(self) -> int:
        """Number of slots whose child is alive."""
        return sum(slot.has_child for slot in self.slots)

    @property
    def running(self) -> dict[JobId, int]:
        """Id and attempt of each run here."""
        jobs = (slot.job for slot in self.slots)
        return {job.id: job.run.attempt for job in jobs if job is not None}

    def stop(
        self, outcome: Outcome, job_id: JobId | None = None, attempt: int | None = None
    ) -> None:
        """End one attempt of a job, any attempt of it, or all runs; return at once."""
        for slot in self.slots:
            slot.stop(outcome, job_id, attempt)

    def drain(self, grace: float) -> None:
        """Take no more jobs, give running ones ``grace`` seconds, then interrupt them."""
        self.draining.set()
        self.queue.wake_all()
        deadline = time.monotonic() + grace
        for slot in self.slots:
            slot.stop_idle()
        for slot in self.slots:
            slot.thread.join(max(0.0, deadline - time.monotonic()))
        for slot in self.slots:
            while slot.thread.is_alive():  # a claim may have been under way, and begun a run
                self.stop(self._shutdown)
                slot.thread.join(POLL_SECONDS)
        self._maintenance.stop()
        self.workers.leave()

    def tidy_up(self) -> None:
        """Do nothing: this executor stores nothing but jobs."""


class Slot:
    """Room for one run: a thread that owns a child.

    Attributes
    ----------
    job : Job or None
        The job that runs here.
    has_child : bool
        Whether its child was alive when its thread last looked.
    """

    def __init__(self, executor: LocalExecutor, number: int) -> None:
        self.executor = executor
        setup = setup_message(executor.settings)
        self.supervisor = ChildSupervisor(
            setup, executor.findings, executor.maps, executor.preloader
        )
        self.job: Job | None = None
        self.has_child = False
        self._began = 0.0
        self._taken: list[JobId] = []
        self._is_lent = False
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._work, name=f"slot-{number}", daemon=True)

    def stop(self, outcome: Outcome, job_id: JobId | None, attempt: int | None) -> None:
        """End one attempt of a job, any attempt of it, or whatever happens here."""
        with self._lock:
            if job_id is None or self._runs(job_id, attempt):
                self.supervisor.stop(outcome)

    def stop_idle(self) -> None:
        """End what happens without a job, such as a child that still loads its scripts."""
        with self._lock:
            if self.job is None and not self._is_lent:
                self.supervisor.stop(SHUTDOWN)

    def _runs(self, job_id: JobId, attempt: int | None) -> bool:
        job = self.job
        if job is None or job.id != job_id:
            return False
        return attempt in (None, job.run.attempt)

    def _work(self) -> None:
        while not self.executor.draining.is_set():
            try:
                self.supervisor.start()
                self.has_child = True
                self.executor.script_versions = self.supervisor.script_versions
                if job_id := self.executor.next_job(POLL_SECONDS):
                    self._run_from(job_id)
                elif share := self.executor.maps.pick():
                    self._lend(share)
            except (ChildEnded, StoreUnavailable, OSError) as error:
                self.has_child = False
                log.warning("a slot waits: %s", error)
                self.executor.draining.wait(_RESTART_SECONDS)
            except Exception:  # a slot lives as long as the server
                self.has_child = False
                log.exception("a slot starts over")
                self.supervisor.close()
                self.executor.draining.wait(_RESTART_SECONDS)
        self.has_child = False
        self.supervisor.dispose()

    def _run_from(self, job_id: JobId) -> None:
        """Claim a job and run it, then each job that was claimed along with the end of the last."""
        self._taken = [job_id]
        try:
            queue = self.executor.queue
            job = self.executor.lifecycle.claims.claim(job_id, queue, self._suits)
            self.executor.queue_limit.leave(job_id)
            while job is not None:
                self._occupy(job)
                job = self.executor.runner.run_job(job, self)
        finally:
            self._occupy(None)
            for taken in self._taken:
                self.executor.release(taken)

    def run(self, spec: RunSpec, timeout: float, recorder: Recorder) -> Outcome:
        """Run a job in this slot's child; see `ChildSupervisor.run`."""
        missing = self.supervisor.missing(spec["script"])
        outcome = self.supervisor.run(spec, timeout, recorder)
        hosts = self.executor.lacking_hosts() if missing and outcome.message else ""
        return replace(outcome, message=f"{outcome.message}{hosts}") if hosts else outcome

    def prepare_next(self) -> Claim | None:
        """Prepare the claim of the oldest job, if this slot could run it at once."""
        executor = self.executor
        if not self.supervisor.has_child or executor.draining.is_set():
            return None
        job_id = executor.queue.take(0)
        if job_id is None:
            return None
        self._taken.append(job_id)
        executor.queue_limit.leave(job_id)
        return executor.lifecycle.claims.prepare(job_id, executor.queue, self._suits)

    def _suits(self, job: Job) -> bool:
        """Whether to run a job here; one whose script is not here is left to those who have it."""
        missing = self.supervisor.missing(job.script or {})
        return not missing or not self.executor.is_left(job.id, missing)

    def settle(self, job: Job, state: State | None) -> None:
        """Count a run that ended, and queue its job again if it has retries left."""
        seconds = time.monotonic() - self._began
        self.executor.run_metrics.observe(job, state, seconds)
        log_run("The run ended.", state=state or "spooled", seconds=round(seconds, 3))
        self._occupy(None)
        if state is State.QUEUED and self.executor.serves_queue:
            self.executor.submit(job.id)

    def _lend(self, share: SlotShare) -> None:
        """Lend this slot to a map until a job waits."""
        executor = self.executor
        self._is_lent = True
        try:
            share.lend(lambda: not executor.queue.is_empty or executor.draining.is_set())
        finally:
            self._is_lent = False

    def _occupy(self, job: Job | None) -> None:
        """Set what runs here; an order to stop is only ever meant for that."""
        with self._lock:
            self.job, self._began = job, time.monotonic()
            self.supervisor.clear()
