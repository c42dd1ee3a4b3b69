"""One run, from a claimed job to its last update: the same in every executor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from jobserver.data.sources import DataSources
from jobserver.encoding import encoded_size
from jobserver.errors import ApiError, StoreUnavailable, TooLarge
from jobserver.execution.run_output import OutputFilter, RunRecorder
from jobserver.execution.supervision.active_run import Recorder
from jobserver.home.settings import Settings
from jobserver.jobs import logs
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.claims import Claim
from jobserver.jobs.lifecycle.spool import Spool, SpooledOutcome
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import NOT_BEGUN, UNSTORABLE, Outcome
from jobserver.jobs.resources import memory_limit
from jobserver.processes import forms, seeds
from jobserver.scripts.wording import import_folders
from jobserver.sizes import MIB
from jobserver.storage.database import Document
from jobserver.storage.documents import JobId
from jobserver.system.disk import temporary_folder
from jobserver.system.logs import about, log_run
from jobserver.system.protocol import RunSpec
from jobserver.system.run_user import RunUser

log = logging.getLogger(__name__)

#: Files that a run may hold open.
_OPEN_FILES = 1024
#: Fields of a job whose names a run compares with the parameters of its script.
_MOST_FIELDS = 1000
#: Bytes of a result that lives in the job's document, if there is room: MongoDB takes 16 MiB.
_SMALL_RESULT = 8 * MIB
_LARGEST_DOCUMENT = 15 * MIB


class RunSlot(Protocol):
    """What a run needs of its slot."""

    def run(self, spec: RunSpec, timeout: float, recorder: Recorder) -> Outcome:
        """Run a job in a child, and return how it ended."""

    def prepare_next(self) -> Claim | None:
        """Prepare the claim of the next job, to be made together with the end of this one."""

    def settle(self, job: Job, state: State | None) -> None:
        """Note that a run is over, and the job's new state; None if it waits in the spool."""


@dataclass(frozen=True)
class Runner:
    """Runs the jobs of one server.

    Attributes
    ----------
    lifecycle : JobLifecycle
        Changes the jobs' states in the database.
    sources : DataSources
        Where data comes from.
    spool : Spool
        Takes outcomes while the database is away.
    settings : Settings
        Limits of a run.
    storing : set
        Ids of jobs whose large results are being moved from the spool to the database.
    """

    lifecycle: JobLifecycle
    sources: DataSources
    spool: Spool
    settings: Settings
    storing: set[JobId] = field(default_factory=set)

    def run_job(self, job: Job, slot: RunSlot) -> Job | None:
        """Run a claimed job, and store how it ended; return the next job if it was claimed."""
        run, script = job.run, forms.label(job.script or {})
        ids = {"job": job.id, "attempt": run.attempt, "script": script, "request": run.request}
        with about(**ids, user=job.owner):
            log_run("The run began.")
            return self._run_claimed(job, slot)

    def _run_claimed(self, job: Job, slot: RunSlot) -> Job | None:
        home, scripts = self.settings.home, self.settings.scripts_path
        own = [home] if scripts.is_relative_to(home) else [home, scripts]
        folders = [*map(str, own), *import_folders()]
        output = OutputFilter(self.settings.JOB_OUTPUT_LIMIT, folders)
        recorder = RunRecorder(self.lifecycle, job, output)
        with ExitStack() as resources:
            spec = self._load(job, recorder, resources)
            outcome = self._run(job, spec, slot, recorder)
            state, claim = self._store(outcome, recorder, slot.prepare_next)
        slot.settle(job, state)
        return claim.job if claim and self.lifecycle.claims.make(claim) else None

    def _load(self, job: Job, recorder: RunRecorder, resources: ExitStack) -> RunSpec | Outcome:
        """Fetch what a run works with until the resources are closed; an outcome if that fails."""
        try:
            source = resources.enter_context(self.sources.fetched(job.document))
            folder = resources.enter_context(temporary_folder("run"))
            self._admit(folder, source)
        except StoreUnavailable:
            return NOT_BEGUN
        except ApiError as refusal:  # the data went away after the job was accepted
            return _failed(refusal, refusal.message)
        except OSError as error:  # no room for its folder
            return _failed(error, f"the server could not run it: {error.strerror}")
        recorder.redact(folder)
        return self._spec(job, source, folder)

    def _admit(self, folder: str, source: Document | None) -> None:
        """Give a run's folder and data to its user, if that is not ours."""
        if self.settings.RUN_AS is None:
            return
        user = RunUser.named(self.settings.RUN_AS)
        user.own(folder)
        for name in {"path", "stored"} & (source or {}).keys():
            path, data = Path((source or {})[name]), self.settings.data_path
            user.admit(path, data if path.is_relative_to(data) else path.parent)

    def _run(
        self, job: Job, spec: RunSpec | Outcome, slot: RunSlot, recorder: RunRecorder
    ) -> Outcome:
        """Return how a run ended, with the end of its output taken."""
        if isinstance(spec, Outcome):
            return recorder.complete(spec)
        limits = [seconds for seconds in (job.timeout, self.settings.JOB_TIMEOUT) if seconds]
        try:
            outcome = slot.run(spec, min(limits, default=0), recorder)
        except OSError as error:  # no room for another process
            outcome = _failed(error, f"the server could not run it: {error.strerror}")
        else:
            if outcome is not NOT_BEGUN:
                known = {**(outcome.provenance or {}), "seed": spec["seed"]}
                outcome = replace(outcome, provenance=known)
        return recorder.complete(outcome)

    def _store(
        self, outcome: Outcome, recorder: RunRecorder, prepare_next: Callable[[], Claim | None]
    ) -> tuple[State | None, Claim | None]:
        """Store the end of a run, and make the claim of the next job in the same request.

        Returns
        -------
        state : State or None
            The job's new state; None if this attempt is over already, or waits in the spool.
        claim : Claim or None
            The claim that was prepared, whether it is made or not.
        """
        claim = None
        try:
            recorder.write()
            claim = prepare_next() if outcome.file is None else None
            return self._finish(recorder.job, outcome, claim), claim
        except StoreUnavailable:
            rest = recorder.unwritten
            self.spool.save(SpooledOutcome(recorder.job, outcome, rest, recorder.written))
            return None, claim
        except Exception:  # what comes from a child may be anything
            log.exception("the outcome of job %s cannot be stored", recorder.job.id)
            unstorable = replace(UNSTORABLE, finished=outcome.finished)
            return self._finish_document(recorder.job, unstorable), claim

    def store(self, ended: SpooledOutcome) -> None:
        """Store an attempt that waited in the spool."""
        run = ended.job.run
        if ended.text:
            logs.append(self.lifecycle.database, run.key, run.attempt, ended.offset, ended.text)
        if ended.outcome.file is None:
            self._finish(ended.job, ended.outcome)
        elif self.lifecycle.adopt(ended.job):
            self.storing.add(ended.job.id)  # has its lease renewed meanwhile
            try:
                self._finish(ended.job, ended.outcome)
            finally:
                self.storing.discard(ended.job.id)

    def _finish(self, job: Job, outcome: Outcome, claim: Claim | None = None) -> State | None:
        """Store an outcome, and the file of a large result first."""
        if outcome.file is None:
            return self._finish_document(job, outcome, claim)
        results, most = self.lifecycle.jobs.results, self.settings.RESULT_LIMIT
        limit = self.lifecycle.jobs.usage.left(job.owner, most)
        try:
            with results.stored(job, outcome, limit) as stored:
                return self._finish_document(job, stored)
        except StoreUnavailable:
            raise
        except ApiError as refusal:
            return self._finish_document(job, _failed(refusal, refusal.message, outcome))
        except OSError as error:
            message = f"the result cannot be read: {error.strerror}"
            return self._finish_document(job, _failed(error, message, outcome))

    def _finish_document(
        self, job: Job, outcome: Outcome, claim: Claim | None = None
    ) -> State | None:
        try:
            state = self.lifecycle.finish(job, outcome, claim)
        except TooLarge:
            state = self.lifecycle.finish(job, _too_large(outcome))
        if state is None and not self.lifecycle.is_finished(job, outcome):
            log.warning("a late outcome of job %s was refused", job.id)
        return state

    def _spec(self, job: Job, source: Document | None, folder: str) -> RunSpec:
        room = max(_LARGEST_DOCUMENT - encoded_size(job.document), 0)
        return {
            "id": str(job.id),
            "attempt": job.run.attempt,
            "script": job.script or {},
            "data": source,
            "fields": [name for name in job.own_fields if name.isidentifier()][:_MOST_FIELDS],
            "folder": folder,
            "seed": seeds.fresh() if job.seed is None else job.seed,
            "memory": memory_limit(job.resources, self.settings.JOB_MEMORY_LIMIT),
            "files": _OPEN_FILES,
            "file_size": self.settings.JOB_FILE_SIZE_LIMIT,
            "small_result": min(_SMALL_RESULT, room),
            "largest_result": self.settings.RESULT_LIMIT,
        }


def _too_large(outcome: Outcome) -> Outcome:
    size = encoded_size(outcome.result)
    message = f"the result has {size} bytes: too many for a document that also holds the data"
    return replace(outcome, state=State.FAILED, result=None, error="TooLarge", message=message)


def _failed(error: Exception, message: str, ended: Outcome | None = None) -> Outcome:
    """Return the failure of a run that ended otherwise, or did not begin."""
    name = type(error).__name__
    failed = Outcome(State.FAILED, error=name, message=message)
    if ended is None:
        return failed
    return replace(failed, provenance=ended.provenance, finished=ended.finished)
