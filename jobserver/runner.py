"""One run from the claim to its last update: the same in every executor."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from jobserver.database import Document
from jobserver.encoding import encoded_size
from jobserver.errors import Refusal, StoreUnavailable, TooLarge
from jobserver.journal import Journal
from jobserver.models import logs
from jobserver.models.job import State
from jobserver.models.outcome import Outcome
from jobserver.models.runs import Runs
from jobserver.models.source import Sources
from jobserver.models.spool import Ended, Spool
from jobserver.settings import Settings

log = logging.getLogger(__name__)

#: Files that a run may hold open.
OPEN_FILES = 1024


class Host(Protocol):
    """What carries a run out: a shepherd with its child."""

    def run(self, spec: Document, timeout: float, watcher: Any) -> Outcome:
        """Run what the specification says and tell how it ended; raises nothing."""


@dataclass(frozen=True)
class Runner:
    """Carries out runs of one server's jobs.

    Attributes
    ----------
    runs : Runs
        The life of the jobs in the database.
    sources : Sources
        Where data comes from.
    spool : Spool
        Takes outcomes while the database is away.
    settings : Settings
        Limits of a run.
    """

    runs: Runs
    sources: Sources
    spool: Spool
    settings: Settings

    def run_job(self, job: Document, host: Host) -> State | None:
        """Carry out a claimed job and store how it ended.

        Returns
        -------
        State or None
            The job's new state; None if it is not this attempt's to change, or waits in the spool.
        """
        journal = Journal(self.runs, job, self.settings.JOB_OUTPUT_LIMIT)
        outcome = self._outcome(job, host, journal)
        try:
            journal.write()
            return self._end(job, outcome)
        except StoreUnavailable:
            self.spool.save(Ended(job, outcome, journal.unwritten, journal.written))
            return None

    def store(self, ended: Ended) -> None:
        """Store an attempt that waited in the spool."""
        private = ended.job["_run"]
        if ended.text:
            place = private["key"], private["attempt"], ended.offset
            logs.append(self.runs.database, *place, ended.text)
        self._end(ended.job, ended.outcome)

    def _end(self, job: Document, outcome: Outcome) -> State | None:
        try:
            state = self.runs.end(job, outcome)
        except TooLarge:
            state = self.runs.end(job, _too_large(outcome))
        if state is None:
            log.warning("a late outcome of job %s was refused", job["_id"])
        return state

    def _outcome(self, job: Document, host: Host, journal: Journal) -> Outcome:
        timeout = job.get("timeout") or self.settings.JOB_TIMEOUT
        try:
            with ExitStack() as stack:
                try:
                    source = stack.enter_context(self.sources.fetched(job))
                except Refusal as refusal:  # the data went away after the job was accepted
                    kind, message = type(refusal).__name__, refusal.message
                    return Outcome(State.FAILED, error=kind, message=message)
                return host.run(self._spec(job, source), timeout, journal)
        except OSError as error:  # no room for its folder, or for another process
            return Outcome(State.FAILED, error=type(error).__name__, message=_unprepared(error))

    def _spec(self, job: Document, source: Document | None) -> Document:
        return {
            "id": str(job["_id"]),
            "attempt": job["_run"]["attempt"],
            "script": job["script"],
            "data": source,
            "memory": self.settings.JOB_MEMORY_LIMIT,
            "files": OPEN_FILES,
            "file_size": self.settings.JOB_FILE_SIZE_LIMIT,
        }


def _too_large(outcome: Outcome) -> Outcome:
    size = encoded_size(outcome.result)
    message = f"the result has {size} bytes: too many for a document that holds the data too"
    return Outcome(State.FAILED, error="TooLarge", message=message)


def _unprepared(error: OSError) -> str:
    return f"the server could not run it: {error.strerror}"
