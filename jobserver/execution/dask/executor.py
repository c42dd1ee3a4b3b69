"""The server's side of a cluster: hands jobs over, and notes how they ended."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from jobserver.data.files import DataFiles
from jobserver.execution.dask.worker_settings import WorkerSettings
from jobserver.execution.executor import Executor
from jobserver.execution.maintenance import Maintenance
from jobserver.home.settings import Settings
from jobserver.jobs.job import State
from jobserver.jobs.outcome import Outcome
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId

if TYPE_CHECKING:
    from distributed import Future

    from jobserver.execution.dask.cluster import Cluster

log = logging.getLogger(__name__)

#: Seconds between two checks of the size of the cluster.
_CHECK_SECONDS = 1.0
_RESULT_SECONDS = 3.0


class DaskExecutor(Executor):
    """Hands jobs to a Dask cluster, at most as many at once as it has threads.

    Jobs that the cluster has are not stopped from here: the worker that runs one sees in the
    database that it was cancelled. They go on when this server ends.
    """

    def __init__(self, database: Database, datafiles: DataFiles, settings: Settings) -> None:
        super().__init__(database, datafiles, settings)
        self._waiting: dict[JobId, None] = {}
        self._handed: set[JobId] = set()
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._failure = ""
        self._cluster: Cluster | None = None
        self._maintenance = Maintenance(self)
        self._thread = threading.Thread(target=self._work, name="dask", daemon=True)

    def start(self) -> None:
        """Connect in the background, and hand over the jobs that wait."""
        self._thread.start()
        self._maintenance.start()

    def submit(self, job_id: JobId) -> None:
        """Take a queued job, unless the cluster has it already."""
        with self._changed:
            if job_id not in self._handed:
                self._waiting[job_id] = None
                self._changed.notify_all()

    @property
    def capacity(self) -> int:
        """Number of jobs that the cluster gets at once.

        At least ``WORKERS``, so that an adaptive cluster has a reason to grow.
        """
        threads = self._cluster.threads if self._cluster else None
        return max(threads or 1, self.settings.WORKERS)

    @property
    def idle(self) -> bool:
        """Whether no job is known to wait."""
        return not self._waiting

    @property
    def running(self) -> dict[JobId, int]:
        """Nothing runs here."""
        return {}

    def stop(
        self, outcome: Outcome, job_id: JobId | None = None, attempt: int | None = None
    ) -> None:
        """Do nothing: workers find orders to stop in the database."""

    def drain(self, grace: float) -> None:
        """Hand over no more jobs; if the database ends with this server, wait for its jobs."""
        self.draining.set()
        with self._changed:
            if self.settings.MONGO_URI is None:
                self._changed.wait_for(lambda: not self._handed, grace)
            self._over.set()
            self._changed.notify_all()
        if self._thread.ident:
            self._thread.join()
        self._maintenance.stop()

    def _work(self) -> None:
        from jobserver.execution.dask.cluster import Cluster

        cluster = self._cluster = Cluster(
            str(self.settings.DASK_SCHEDULER), WorkerSettings.from_settings(self.settings)
        )
        look = 0.0
        while not self._over.is_set():
            try:
                if time.monotonic() >= look:
                    cluster.look()
                    look = time.monotonic() + _CHECK_SECONDS
                if job_id := self._next(cluster):
                    self._hand_over(job_id, cluster)
            except OSError:  # the connection was lost: check at once
                look = 0.0
            except Exception:  # jobs are handed over as long as the server lives
                log.exception("a job could not be handed to Dask; it will be tried again")
                self._over.wait(_CHECK_SECONDS)
        cluster.close()

    def _next(self, cluster: Cluster) -> JobId | None:
        """Return the oldest job once the cluster has room; None after a while."""

        def can_go() -> bool:
            has_room = cluster.threads is not None and len(self._handed) < self.capacity
            return bool(self._waiting) and has_room and not self.draining.is_set()

        with self._changed:
            self._changed.wait_for(lambda: self._over.is_set() or can_go(), _CHECK_SECONDS)
            if not can_go():
                return None
            job_id = next(iter(self._waiting))
            del self._waiting[job_id]
            self._handed.add(job_id)
            return job_id

    def _hand_over(self, job_id: JobId, cluster: Cluster) -> None:
        try:
            cluster.submit(job_id, partial(self._done, job_id))
        except BaseException:
            self._forget(job_id)
            raise
        self.queue_limit.leave(job_id)

    def _forget(self, job_id: JobId) -> None:
        with self._changed:
            self._handed.discard(job_id)
            self._changed.notify_all()

    def _done(self, job_id: JobId, future: Future[str]) -> None:
        """Note that the cluster is done with a job."""
        state = self._state(future)
        self._forget(job_id)
        self.queue_limit.leave(job_id)
        if state:
            self.ended.labels(state).inc()
        if state is State.QUEUED:
            self.submit(job_id)

    def _state(self, future: Future[str]) -> State | None:
        """Return the state of a job that the cluster is done with; None if it is unknown.

        `Maintenance` finds the job again if it is still queued.
        """
        try:
            if future.status == "finished":
                self._failure = ""
                return State(future.result(_RESULT_SECONDS))
            if future.status == "error":
                self._warn(f"a Dask worker could not run a job: {future.exception()}")
        except Exception as error:  # whatever a cluster that ends may raise
            self._warn(f"the Dask cluster did not report how a job ended: {error}")
        return None

    def _warn(self, failure: str) -> None:
        """Log a failure once: the job is handed over again and again."""
        if failure != self._failure:
            self._failure = failure
            log.warning("%s", failure)
