"""One run from the claim to its last update: the same in every executor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from jobserver.data.sources import DataSources
from jobserver.encoding import encoded_size
from jobserver.errors import ApiError, StoreUnavailable, TooLarge
from jobserver.execution.run_output import OutputFilter, RunRecorder
from jobserver.home.settings import Settings
from jobserver.jobs import logs
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.claims import Claim
from jobserver.jobs.lifecycle.spool import Spool, SpooledOutcome
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import NOT_BEGUN, UNSTORABLE, Outcome
from jobserver.processes import seeds
from jobserver.sizes import MIB
from jobserver.storage.database import Document
from jobserver.storage.documents import JobId
from jobserver.system.disk import temporary_folder
from jobserver.system.paths import import_folders

log = logging.getLogger(__name__)

#: Files that a run may hold open.
OPEN_FILES = 1024
#: Bytes of a result that lives in the job's document, if there is room: MongoDB takes 16 MiB.
_SMALL_RESULT = 8 * MIB
_LARGEST_DOCUMENT = 15 * MIB


class Host(Protocol):
    """What carries a run out: a supervisor with its child."""

    def run(self, spec: Document, timeout: float, watcher: Any) -> Outcome:
        """Run what the specification says and tell how it ended; raises nothing."""


@dataclass(frozen=True)
class Runner:
    """Carries out runs of one server's jobs.

    Attributes
    ----------
    runs : JobLifecycle
        The life of the jobs in the database.
    sources : DataSources
        Where data comes from.
    spool : Spool
        Takes outcomes while the database is away.
    settings : Settings
        Limits of a run.
    storing : set
        Ids of jobs whose large results are being moved from the spool to the database.
    """

    runs: JobLifecycle
    sources: DataSources
    spool: Spool
    settings: Settings
    storing: set[JobId] = field(default_factory=set)

    def run_job(
        self, job: Document, host: Host, following: Callable[[], Claim | None] = lambda: None
    ) -> State | None:
        """Carry out a claimed job and store how it ended.

        Parameters
        ----------
        following : callable
            Gives the claim that may be made in the same request as the end, once the script ended.

        Returns
        -------
        State or None
            The job's new state; None if it is not this attempt's to change, or waits in the spool.
        """
        folders = [str(self.settings.home), *import_folders()]
        journal = RunRecorder(self.runs, job, OutputFilter(self.settings.JOB_OUTPUT_LIMIT, folders))
        with ExitStack() as stack:
            outcome = journal.completed(self._outcome(job, host, journal, stack))
            try:
                journal.write()
                return self._end(job, outcome, following)
            except StoreUnavailable:
                self.spool.save(SpooledOutcome(job, outcome, journal.unwritten, journal.written))
                return None
            except Exception:  # what comes from a child may be anything
                log.exception("the outcome of job %s cannot be stored", job["_id"])
                return self._end_with(job, replace(UNSTORABLE, finished=outcome.finished))

    def store(self, ended: SpooledOutcome) -> None:
        """Store an attempt that waited in the spool."""
        private = ended.job["_run"]
        if ended.text:
            place = private["key"], private["attempt"], ended.offset
            logs.append(self.runs.database, *place, ended.text)
        if ended.outcome.file is None:
            self._end(ended.job, ended.outcome)
        elif self.runs.adopt(ended.job):
            self._store_file(ended)

    def _store_file(self, ended: SpooledOutcome) -> None:
        """Store a large result while the keeper renews the lease of its job."""
        self.storing.add(ended.job["_id"])
        try:
            self._end(ended.job, ended.outcome)
        finally:
            self.storing.discard(ended.job["_id"])

    def _end(
        self, job: Document, outcome: Outcome, following: Callable[[], Claim | None] = lambda: None
    ) -> State | None:
        if outcome.file is None:
            return self._end_with(job, outcome, following())
        results, limit = self.runs.jobs.results, self.settings.RESULT_LIMIT
        try:
            with results.stored(job, outcome, limit) as stored:
                return self._end_with(job, stored)
        except StoreUnavailable:
            raise
        except ApiError as refusal:
            return self._end_with(job, _failed(refusal, refusal.message, outcome))
        except OSError as error:
            message = f"the result cannot be read: {error.strerror}"
            return self._end_with(job, _failed(error, message, outcome))

    def _end_with(
        self, job: Document, outcome: Outcome, claim: Claim | None = None
    ) -> State | None:
        try:
            state = self.runs.end(job, outcome, claim)
        except TooLarge:
            state = self.runs.end(job, _too_large(outcome))
        if state is None and not self.runs.is_ended(job, outcome):
            log.warning("a late outcome of job %s was refused", job["_id"])
        return state

    def _outcome(
        self, job: Document, host: Host, journal: RunRecorder, stack: ExitStack
    ) -> Outcome:
        """Run the job; what it works with goes when the stack is closed."""
        limits = [seconds for seconds in (job.get("timeout"), self.settings.JOB_TIMEOUT) if seconds]
        timeout = min(limits, default=0)
        try:
            source = stack.enter_context(self.sources.fetched(job))
            folder = stack.enter_context(temporary_folder("run"))
            journal.redact(folder)
            spec = self._spec(job, source, folder)
            outcome = host.run(spec, timeout, journal)
            known = {**(outcome.provenance or {}), "seed": spec["seed"]}
            return outcome if outcome is NOT_BEGUN else replace(outcome, provenance=known)
        except StoreUnavailable:  # while its data was fetched
            return NOT_BEGUN
        except ApiError as refusal:  # the data went away after the job was accepted
            return _failed(refusal, refusal.message)
        except OSError as error:  # no room for its folder, or for another process
            return _failed(error, f"the server could not run it: {error.strerror}")

    def _spec(self, job: Document, source: Document | None, folder: str) -> Document:
        room = max(_LARGEST_DOCUMENT - encoded_size(job), 0)
        return {
            "id": str(job["_id"]),
            "attempt": job["_run"]["attempt"],
            "script": job["script"],
            "data": source,
            "folder": folder,
            "seed": seeds.fresh() if job.get("seed") is None else job["seed"],
            "memory": self.settings.JOB_MEMORY_LIMIT,
            "files": OPEN_FILES,
            "file_size": self.settings.JOB_FILE_SIZE_LIMIT,
            "small_result": min(_SMALL_RESULT, room),
            "largest_result": self.settings.RESULT_LIMIT,
        }


def _too_large(outcome: Outcome) -> Outcome:
    size = encoded_size(outcome.result)
    message = f"the result has {size} bytes: too many for a document that holds the data too"
    return replace(outcome, state=State.FAILED, result=None, error="TooLarge", message=message)


def _failed(error: Exception, message: str, ended: Outcome | None = None) -> Outcome:
    """The failure of a run that ended otherwise, or did not begin."""
    name = type(error).__name__
    failed = Outcome(State.FAILED, error=name, message=message)
    if ended is None:
        return failed
    return replace(failed, provenance=ended.provenance, finished=ended.finished)
