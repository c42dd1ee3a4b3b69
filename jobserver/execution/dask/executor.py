"""The server's side of a cluster: hands jobs over, and notes how they ended."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jobserver.data.files import DataFiles
from jobserver.errors import Problem, SettingsError, StoreUnavailable
from jobserver.execution.dask.backlog import Backlog, unmet
from jobserver.execution.dask.script_archive import ScriptArchives, ScriptFolders
from jobserver.execution.dask.worker_settings import Answer, WorkerSettings
from jobserver.execution.executor import ClusterStatus, Executor
from jobserver.execution.maintenance import Maintenance
from jobserver.home.settings import Settings
from jobserver.jobs.job import Job, State, find_jobs
from jobserver.jobs.outcome import Outcome
from jobserver.jobs.resources import Needs, described, parse_resources
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId

if TYPE_CHECKING:
    from distributed import Future

    from jobserver.execution.dask.cluster import Cluster

log = logging.getLogger(__name__)

#: Seconds between two checks of the size of the cluster.
_CHECK_SECONDS = 1.0
_RESULT_SECONDS = 3.0
_WARN_SECONDS = 60.0


class DaskExecutor(Executor):
    """Hands jobs to a Dask cluster, at most as many at once as it has threads.

    Jobs that the cluster has are not stopped from here: the worker that runs one sees in the
    database that it was cancelled. They go on when this server ends.
    """

    def __init__(self, database: Database, datafiles: DataFiles, settings: Settings) -> None:
        super().__init__(database, datafiles, settings)
        self._server = WorkerSettings.from_settings(settings)
        self._scripts = ScriptFolders(settings)
        self._archives = ScriptArchives(database)
        self._sent: dict[JobId, str] = {}
        self._futures: dict[JobId, Future[Answer]] = {}
        self._backlog = Backlog()
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._warned: dict[str, float] = {}
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
            self._backlog.add(job_id)
            self._changed.notify_all()

    def tidy_up(self) -> None:
        """Keep the archives that jobs of this server may need, and delete those of nobody."""
        with self._changed:
            digests = {*self._sent.values()}
        self._archives.note_use(digests)
        self._archives.remove_unused()

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
        return not self._backlog.waiting

    def unmet(self, needs: Needs) -> list[Problem]:
        """Return which resources no worker of the cluster offers; none if it may yet grow."""
        cluster = self._cluster
        if self.settings.WORKERS or cluster is None or not cluster.threads:
            return []
        return list(unmet(needs, cluster.offers))

    @property
    def cluster(self) -> ClusterStatus:
        """What is known about the cluster."""
        found = self._cluster
        return ClusterStatus(found.status, found.dashboard) if found else ClusterStatus("", None)

    @property
    def children(self) -> int:
        """Number of threads of the cluster; 0 while there is no connection to it."""
        return (self._cluster.threads or 0) if self._cluster else 0

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
                self._changed.wait_for(lambda: not self._backlog.handed, grace)
            self._over.set()
            self._changed.notify_all()
        if self._thread.ident:
            self._thread.join()
        self._maintenance.stop()

    def _work(self) -> None:
        from jobserver.execution.dask.cluster import Cluster

        cluster = self._cluster = Cluster(str(self.settings.DASK_SCHEDULER))
        look = 0.0
        while not self._over.is_set():
            try:
                if time.monotonic() >= look:
                    self._look(cluster)
                    look = time.monotonic() + _CHECK_SECONDS
                if job_id := self._next(cluster):
                    self._hand_over(job_id, cluster)
            except StoreUnavailable as error:
                self._warn(str(error))
                self._over.wait(_CHECK_SECONDS)
            except OSError:  # the connection was lost: check at once
                look = 0.0
            except Exception:  # jobs are handed over as long as the server lives
                log.exception("a job could not be handed to Dask; it will be tried again")
                self._over.wait(_CHECK_SECONDS)
        cluster.close()

    def _look(self, cluster: Cluster) -> None:
        """Look at the cluster, and take back the jobs that only a worker could run that is gone.

        In the cluster they would wait unseen, and take a thread each from the others.
        """
        cluster.look()
        if self.settings.WORKERS or cluster.threads is None:
            return
        with self._changed:
            stranded = self._backlog.stranded(cluster.offers)
            futures = [self._futures.pop(job_id) for job_id in stranded]
            for job_id in stranded:
                self._forget(job_id)
                self._backlog.add(job_id)  # to be held back, with a reason
        cluster.withdraw(futures)

    def _next(self, cluster: Cluster) -> JobId | None:
        """Return the job to hand over once the cluster has room; None after a while."""

        def find() -> JobId | None:
            has_room = cluster.threads is not None and len(self._backlog.handed) < self.capacity
            if self.draining.is_set() or not has_room:
                return None
            return self._backlog.next(cluster.offers)

        with self._changed:
            self._changed.wait_for(lambda: self._over.is_set() or find(), _CHECK_SECONDS)
            if job_id := find():
                self._backlog.take(job_id)
            return job_id

    def _hand_over(self, job_id: JobId, cluster: Cluster) -> None:
        try:
            found = find_jobs(self.lifecycle.database, {"_id": job_id}, ["state", "resources"])
            job = next(found, None)
            if job is None or job.state is not State.QUEUED:
                self._forget(job_id)
            elif self._fits(job, cluster):
                server = self._with_scripts(job_id)
                done = partial(self._done, job_id)
                with self._changed:  # it may be done before it is noted
                    self._futures[job_id] = cluster.submit(job_id, server, _needs(job), done)
            else:
                return
        except BaseException:
            self._forget(job_id)
            raise
        self.queue_limit.leave(job_id)

    def _fits(self, job: Job, cluster: Cluster) -> bool:
        """Whether the cluster has what a job needs; it is held back otherwise."""
        needs = _needs(job)
        with self._changed:
            self._backlog.handed.pop(job.id, None)
            fits = bool(self.settings.WORKERS) or self._backlog.fits(needs, cluster.offers)
            if fits:
                self._backlog.handed[job.id] = needs
            else:
                self._backlog.hold(job.id, needs)
        if any(unmet(needs, cluster.offers)):
            reason = f"no worker of the Dask cluster offers {described(needs)} at present"
            self._warn(f"jobs wait: {reason}")
            self.lifecycle.explain_wait(job.id, reason)
        return fits

    def _with_scripts(self, job_id: JobId) -> WorkerSettings:
        """Store the scripts as they are now for workers without the home."""
        if self._server.embedded:  # its workers are on this machine
            return self._server
        try:
            digest, content = self._scripts.packed()
        except SettingsError as error:
            self._warn(str(error))
            return self._server
        with self._changed:
            is_stored = digest in self._sent.values()
            self._sent[job_id] = digest
        if not is_stored:
            self._archives.store(digest, content)
        return replace(self._server, scripts=digest)

    def _forget(self, job_id: JobId) -> None:
        with self._changed:
            self._backlog.handed.pop(job_id, None)
            self._sent.pop(job_id, None)
            self._futures.pop(job_id, None)
            self._changed.notify_all()

    def _done(self, job_id: JobId, future: Future[Answer]) -> None:
        """Note that the cluster is done with a job, unless it was taken back."""
        with self._changed:
            if self._futures.get(job_id) is not future:
                return
        state = self._state(job_id, future)
        self._forget(job_id)
        self.queue_limit.leave(job_id)
        if state:
            self.run_metrics.count(state)
        if state is State.QUEUED:
            self.submit(job_id)

    def _state(self, job_id: JobId, future: Future[Answer]) -> State | None:
        """Return the state of a job that the cluster is done with; None if it is unknown.

        `Maintenance` finds the job again if it is still queued.
        """
        try:
            answer: Answer = {}
            if future.status == "finished":
                answer = future.result(_RESULT_SECONDS)
            elif future.status == "error":
                answer = {"problem": _reason(future.exception())}
            if problem := answer.get("problem"):
                reason = f"a Dask worker could not run it: {problem}"
                self._warn(f"jobs wait: {reason}")
                self.lifecycle.explain_wait(job_id, reason)
            return State(answer["state"]) if "state" in answer else None
        except Exception as error:  # whatever a cluster that ends may raise
            self._warn(f"the Dask cluster did not report how a job ended: {error}")
        return None

    def _warn(self, failure: str) -> None:
        """Log a failure, but not again within a minute: jobs are handed over again and again."""
        now = time.monotonic()
        self._warned = {text: at for text, at in self._warned.items() if now - at < _WARN_SECONDS}
        if failure not in self._warned:
            self._warned[failure] = now
            log.warning("%s", failure)


def _needs(job: Job) -> Needs:
    return parse_resources(job.resources, 0)[0]


def _reason(error: BaseException | None) -> str:
    """Return why a worker could not run a job, in a line."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("jobserver"):
        return "it has no Jobserver: install the server's version of jobserver-rest[dask] there"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
