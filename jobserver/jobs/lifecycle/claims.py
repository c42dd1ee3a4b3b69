"""Claims of queued jobs: queued -> running, in one update that only one server can win."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import cast

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import Job, State, private
from jobserver.jobs.updates import GuardedUpdate, GuardedUpdates
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId

#: Jobs read at once.
_AHEAD = 16
_RAW = CodecOptions(document_class=RawBSONDocument)
_NONE: Iterable[JobId] = ()
CHECKS_PER_LEASE = 6


@dataclass
class Claim:
    """The claim of a queued job.

    Attributes
    ----------
    change : GuardedUpdate
        The update that claims it.
    job : Job
        The claimed job.
    made : bool
        Whether it is known to be claimed.
    """

    change: GuardedUpdate
    job: Job
    made: bool = field(default=False)


class Claims:
    """Prepares and makes the claims of one owner.

    Queued jobs are read several at a time. The claim of a job that changed since it was read fails.

    Parameters
    ----------
    owner : str
        Name of the executor that claims; unique for each process.
    lease : float
        Seconds without a heartbeat after which a run counts as interrupted.
    """

    def __init__(self, database: Database, owner: str, lease: float) -> None:
        self._database = database
        self._changes = GuardedUpdates(database)
        self._jobs = database["jobs"]
        self._owner, self._lease = owner, lease
        self._read: dict[JobId, RawBSONDocument] = {}
        self._lock = threading.Lock()
        self._unsure: dict[JobId, Claim] = {}

    @property
    def unsure(self) -> list[JobId]:
        """Jobs whose claim was sent, but not answered: they may be claimed, or still queued."""
        return [*self._unsure]

    def prepare(
        self,
        job_id: JobId,
        coming: Iterable[JobId] = _NONE,
        suits: Callable[[Job], bool] = lambda _: True,
    ) -> Claim | None:
        """Return the claim of a job, to be made; None if it is not queued, or does not suit."""
        if sent := self._unsure.pop(job_id, None):
            return sent
        job = self._seen(job_id, coming)
        if job is None or job.state is not State.QUEUED or not suits(job):
            return None
        run = {"owner": self._owner, "lease": self._lease, "claimed": utcnow()}
        values = private(**run, attempt=job.run.attempt + 1) | {"state": State.RUNNING}
        operators: Document = {"currentDate": private(beat=True)}
        if job.message is not None:  # why it waited
            operators["unset"] = {"message": ""}
        change = GuardedUpdate.if_unchanged(job, values, operators)
        return Claim(change, change.applied(job))

    def claim(
        self,
        job_id: JobId,
        coming: Iterable[JobId] = _NONE,
        suits: Callable[[Job], bool] = lambda _: True,
    ) -> Job | None:
        """Claim a job and return it; None if it is not queued any more, or does not suit.

        Parameters
        ----------
        coming : iterable
            Ids of jobs that may be claimed next, to be read together.
        suits : callable
            Whether this owner can run the job.
        """
        while claim := self.prepare(job_id, coming, suits):
            if self.make(claim):
                return claim.job
        return None

    def make(self, claim: Claim) -> bool:
        """Make a claim unless it is made already; False if the job changed meanwhile."""
        try:
            claim.made = claim.made or self._changes.make(claim.change)[0]
        except StoreUnavailable:  # the next `prepare` returns this claim: it may be made already
            self._unsure[claim.job.id] = claim
            raise
        return claim.made

    def _seen(self, job_id: JobId, coming: Iterable[JobId]) -> Job | None:
        """Return a job as it was a moment ago; as it is now, if it was not queued then."""
        with self._lock:  # another slot may want one of the jobs being read
            if job_id not in self._read:
                ids = list(islice(chain([job_id], coming), _AHEAD))
                self._read = self._database.call(self._fetch, ids)
            raw = self._read.pop(job_id, None)
        if raw is not None and raw["state"] == State.QUEUED:
            return Job(bson.decode(raw.raw))
        document = self._database.call(self._jobs.find_one, {"_id": job_id})
        return None if document is None else Job(document)

    def _fetch(self, job_ids: list[JobId]) -> dict[JobId, RawBSONDocument]:
        """Read jobs, as many as fit the first batch, which is at most 16 MB."""
        with self._jobs.find_raw_batches({"_id": {"$in": job_ids}}) as batches:
            first = cast(bytes, next(batches, b""))  # the stub promises a document
            found = bson.decode_all(first, _RAW)
        return {job["_id"]: job for job in found}


class LeaseMonitor:
    """Distinguishes runs whose owner is gone from runs whose heartbeat was only delayed.

    When a clock jumps, a database hangs or a machine sleeps, every heartbeat is old at once. So a
    lease expires only after we saw its heartbeat stand still for a while, and the time between two
    checks counts for no more than it should have been.

    Parameters
    ----------
    lease : float
        Seconds; `expired` is to be called `CHECKS_PER_LEASE` times in that time.
    """

    def __init__(self, lease: float) -> None:
        self._pause = timedelta(seconds=lease / CHECKS_PER_LEASE)
        self._checked = datetime.min
        self._seen: dict[JobId, tuple[datetime, timedelta]] = {}

    def expired(self, running: Iterable[Job], now: datetime) -> list[Job]:
        """Return the running jobs whose lease expired.

        Parameters
        ----------
        running : iterable of Job
            All running jobs.
        now : datetime
            By the clock that the heartbeats come from.
        """
        passed = min(max(now - self._checked, timedelta()), self._pause)
        self._checked = now
        jobs = list(running)
        self._seen = {job.id: self._still(job, passed) for job in jobs}
        return [job for job in jobs if _is_expired(job, self._seen[job.id][1], now)]

    def _still(self, job: Job, passed: timedelta) -> tuple[datetime, timedelta]:
        """Return a job's last heartbeat, and for how long we saw none after it."""
        beat = job.run.beat
        seen, still = self._seen.get(job.id, (None, timedelta()))
        return beat, still + passed if seen == beat else timedelta()


def _is_expired(job: Job, still: timedelta, now: datetime) -> bool:
    """Whether a lease expired: a living owner renews it more than twice in a third of it."""
    lease = timedelta(seconds=job.run.lease)
    return still >= lease or (still > lease / 3 and now - job.run.beat > lease)
