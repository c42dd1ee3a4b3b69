"""What every executor is: it takes the ids of queued jobs and runs each of them once."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from jobserver.data.files import DataFiles
from jobserver.data.sources import DataSources
from jobserver.data.stored import StoredData
from jobserver.errors import Conflict, ShuttingDown
from jobserver.execution.job_queue import QueueLimit
from jobserver.execution.runner import Runner
from jobserver.execution.supervision.script_checker import ScriptChecker
from jobserver.execution.supervision.warm_pool import SharedFindings
from jobserver.home.settings import Settings
from jobserver.jobs.binding import bind
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.spool import Spool
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.notifications import recipient
from jobserver.jobs.outcome import CANCELLED, Outcome
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId
from jobserver.system.orphans import unique_name

_ANYBODYS: Mapping[str, Any] = {}


class Executor(ABC):
    """Runs jobs. Only their ids are handed over; everything else is read from the database.

    Parameters
    ----------
    database : Database
        Where the jobs are.
    datafiles : DataFiles
        Where data files are.
    settings : Settings
        Limits, and how many jobs run at once.
    """

    def __init__(self, database: Database, datafiles: DataFiles, settings: Settings) -> None:
        self.settings = settings
        self.findings = SharedFindings()
        self.scripts = ScriptChecker(settings, self.findings)
        self.runs = JobLifecycle(database, unique_name(), settings.LEASE_SECONDS)
        sources = DataSources(datafiles, StoredData(database))
        self.runner = Runner(self.runs, sources, Spool(settings.home / "spool"), settings)

        self.room = QueueLimit(settings.QUEUE_LIMIT, self.runs.waiting)
        self.draining = threading.Event()
        self.metrics = CollectorRegistry()
        self.ended = Counter(
            "jobserver_runs", "Runs that ended here.", ["state"], registry=self.metrics
        )

    def accept(
        self,
        job_id: JobId,
        visible: Mapping[str, Any] = _ANYBODYS,
        admit: Callable[[Document], str | None] = lambda _: None,
    ) -> Document:
        """Check a job, queue it, and take it: created -> queued.

        Parameters
        ----------
        visible : mapping
            What holds for the jobs that may be started; see `jobserver.users.visibility_filter`.
        admit : callable
            Refuses a job that whoever asks may not run, and gives its owner's mail address, where
            users log in.

        Returns
        -------
        dict
            The job as it was queued.

        Raises
        ------
        NotFound, Conflict, JobNotRunnable
            If there is no such job, it was started already, or it cannot run.
        TooMany, Unavailable
            If the queue is full, a quota is used up, or the server is shutting down.
        """
        self.check_open()
        while True:
            job = self.runs.jobs.get(job_id, visible)
            if job["state"] != State.CREATED:
                raise Conflict(f"The job {job_id} was started already: it is {job['state']}.")
            owner = admit(job)
            notify, problems = recipient(job, owner, self.settings.LOGIN_REQUIRED)
            bound = bind(job, self.scripts, self.runner.sources, problems)
            queued = self._queue(job, bound, {"_run.notify": notify} if notify else {})
            if queued:
                self.submit(job_id)
                return queued

    def check_open(self) -> None:
        """Raise `ShuttingDown` if the server is."""
        if self.draining.is_set():
            raise ShuttingDown

    def _queue(self, job: Document, bound: Document, private: Document) -> Document | None:
        """Queue a job that was checked, if there is room and its owner may; None if it changed."""
        with self.room.taken(job["_id"]), self.runs.jobs.quotas.charged(job) as charge:
            queued = self.runs.enqueue(job, bound, {**charge, **private})
            if not queued:  # it was changed meanwhile
                self.runs.jobs.quotas.give_back(job, charge)
        if not queued:
            self.room.leave(job["_id"])
        return queued

    def cancel(self, job_id: JobId, visible: Mapping[str, Any] = _ANYBODYS) -> Document:
        """Cancel a job, wherever it is; see `JobLifecycle.cancel`."""
        job = self.runs.cancel(job_id, visible)
        if job["state"] == State.CANCELLED:
            self.room.leave(job_id)
        self.stop(CANCELLED, job_id)
        return job

    @abstractmethod
    def start(self) -> None:
        """Begin to run jobs, those that wait in the database first."""

    @abstractmethod
    def submit(self, job_id: JobId) -> None:
        """Take a queued job; returns at once."""

    @property
    def capacity(self) -> int:
        """Number of runs that can go on at once."""
        return self.settings.workers

    @property
    @abstractmethod
    def idle(self) -> bool:
        """Whether no job is known to wait."""

    @property
    @abstractmethod
    def running(self) -> dict[JobId, int]:
        """Id and attempt of each run that goes on here."""

    @abstractmethod
    def stop(
        self, outcome: Outcome, job_id: JobId | None = None, attempt: int | None = None
    ) -> None:
        """End an attempt of a job, any of it, or all runs, with an outcome; returns at once."""

    @abstractmethod
    def drain(self, grace: float) -> None:
        """Take no more jobs, give those that run ``grace`` seconds, then interrupt them."""
