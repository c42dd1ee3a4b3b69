"""The base of executors: they take the ids of queued jobs, and run each job once."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from jobserver.data.files import DataFiles
from jobserver.data.sources import DataSources
from jobserver.data.stored import StoredData
from jobserver.errors import Advised, Conflict, Problem, ShuttingDown
from jobserver.execution.job_queue import QueueLimit
from jobserver.execution.run_metrics import RunMetrics
from jobserver.execution.runner import Runner
from jobserver.execution.supervision.guards import Preloader
from jobserver.execution.supervision.script_checker import ScriptChecker
from jobserver.execution.supervision.warm_pool import SharedFindings
from jobserver.execution.workers import Workers
from jobserver.home.settings import Settings
from jobserver.jobs.binding import bind
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.spool import Spool
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.notifications import recipient
from jobserver.jobs.outcome import CANCELLED, Outcome
from jobserver.jobs.resources import MEMORY, Needs, parse_resources
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId
from jobserver.system.logs import current_request
from jobserver.system.orphans import unique_name

_ANYBODYS: Mapping[str, object] = {}


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster as `GET /info` shows it.

    Attributes
    ----------
    status : str
        Whether it can be used, in a sentence.
    dashboard : str or None
        URL of its dashboard, if it has one.
    """

    status: str
    dashboard: str | None


class Executor(ABC):
    """Runs jobs. It gets only their ids; everything else is read from the database.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    datafiles : DataFiles
        Where data files are.
    settings : Settings
        Limits, and how many jobs run at once.

    Attributes
    ----------
    draining : threading.Event
        Set once the server is shutting down.
    script_versions : mapping or None
        Scripts that runs here can use, with the checksums of their files; None while that is
        unknown, and where nothing runs.
    """

    def __init__(self, database: Database, datafiles: DataFiles, settings: Settings) -> None:
        self.settings = settings
        self.findings = SharedFindings()
        self.preloader = Preloader(settings.RUN_AS)
        self.scripts = ScriptChecker(settings, self.findings, self.preloader)
        self.lifecycle = JobLifecycle(database, unique_name(), settings.LEASE_SECONDS)
        sources = DataSources(datafiles, StoredData(database))
        self.runner = Runner(self.lifecycle, sources, Spool(settings.home / "spool"), settings)
        self.queue_limit = QueueLimit(settings.QUEUE_LIMIT, self.lifecycle.waiting)
        self.workers = Workers(database, self.lifecycle.owner)
        self.draining = threading.Event()
        self.script_versions: Mapping[str, str | None] | None = None
        self.metrics = CollectorRegistry()
        self.run_metrics = RunMetrics(self.metrics)

    def accept(
        self,
        job_id: JobId,
        visible: Mapping[str, object] = _ANYBODYS,
        authorize: Callable[[Job], str | None] = lambda _: None,
    ) -> Job:
        """Check a job, queue it, and submit it: created -> queued.

        Parameters
        ----------
        visible : mapping
            Filter of the jobs that may be started; see `jobserver.users.policy.visibility_filter`.
        authorize : callable
            Raises if the client may not run the job; returns its owner's mail address where users
            log in.

        Returns
        -------
        Job
            The queued job.

        Raises
        ------
        NotFound, Conflict, JobNotRunnable
            If there is no such job, it was started already, or it cannot run.
        TooMany, Unavailable
            If the queue is full, a quota is used up, or the server is shutting down.
        """
        self.check_open()
        while True:
            job = self.lifecycle.jobs.get(job_id, visible)
            if job.state is not State.CREATED:
                text = f"The job {job_id} was started already: it {job.state.described}."
                advice = f"POST /job/{job_id}/rerun creates a copy to run."
                raise Conflict(Advised(text, advice))
            owner = authorize(job)
            notify, problems = recipient(job, owner, self.settings.LOGIN_REQUIRED)
            needs, wrong = parse_resources(job.resources, self.settings.JOB_MEMORY_LIMIT)
            problems += [*wrong, *self.unmet(needs)]
            bound = bind(job, self.scripts, self.runner.sources, problems)
            bound |= {"resources": needs} if needs else {}
            run = {"notify": notify, "request": current_request()}
            queued = self._queue(job, bound, {name: run[name] for name in run if run[name]})
            if queued:
                self.submit(job_id)
                return queued

    def unmet(self, needs: Needs) -> list[Problem]:
        """Return what is wrong with the resources that a job needs: those that no run can have."""
        text = "is not available: runs on this server can have memory only (EXECUTOR = local)"
        return [Problem(f"resources.{name}", text) for name in needs if name != MEMORY]

    def check_open(self) -> None:
        """Raise `ShuttingDown` if the server is."""
        if self.draining.is_set():
            raise ShuttingDown

    def _queue(self, job: Job, bound: Document, run: Document) -> Job | None:
        """Queue a checked job within the limits; return None if it changed since."""
        quotas = self.lifecycle.jobs.quotas
        with self.queue_limit.entered(job.id), quotas.charged(job) as charge:
            queued = self.lifecycle.enqueue(job, bound, {**charge, **run})
            if not queued:  # it changed meanwhile
                quotas.give_back(job, charge)
        if not queued:
            self.queue_limit.leave(job.id)
        return queued

    def cancel(self, job_id: JobId, visible: Mapping[str, object] = _ANYBODYS) -> Job:
        """Cancel a queued or running job; see `JobLifecycle.cancel`."""
        job = self.lifecycle.cancel(job_id, visible)
        if job.state is State.CANCELLED:
            self.queue_limit.leave(job_id)
        self.stop(CANCELLED, job_id)
        return job

    @abstractmethod
    def start(self) -> None:
        """Start to run jobs, beginning with those queued in the database."""

    @abstractmethod
    def submit(self, job_id: JobId) -> None:
        """Take a queued job; return at once."""

    def find_waiting(self) -> list[JobId]:
        """Return the ids of the queued jobs that may run here, the oldest first."""
        return self.lifecycle.waiting()

    @property
    def capacity(self) -> int:
        """Number of jobs that can run at once."""
        return self.settings.workers

    @property
    def cluster(self) -> ClusterStatus | None:
        """What is known about the cluster that runs the jobs; None without one."""
        return None

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether no job is known to wait."""

    @property
    @abstractmethod
    def running(self) -> dict[JobId, int]:
        """Id and attempt of each run here."""

    @property
    @abstractmethod
    def children(self) -> int:
        """Number of slots that can run a job: their child is alive, or the cluster has them."""

    @abstractmethod
    def stop(
        self, outcome: Outcome, job_id: JobId | None = None, attempt: int | None = None
    ) -> None:
        """End one attempt of a job, any attempt of it, or all runs; return at once."""

    @abstractmethod
    def drain(self, grace: float) -> None:
        """Take no more jobs, give running ones ``grace`` seconds, then interrupt them."""

    @abstractmethod
    def tidy_up(self) -> None:
        """Delete what executors stored in the database and none needs any more."""
