"""Taking queued jobs: queued -> running, in one update that only one server can win."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import State
from jobserver.jobs.updates import GuardedUpdate, GuardedUpdates
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId, utcnow

#: Jobs that are read at once.
_AHEAD = 16
_RAW = CodecOptions(document_class=RawBSONDocument)
_NOBODY: Iterable[JobId] = ()
LOOKS_PER_LEASE = 6


@dataclass
class Claim:
    """A queued job that is about to be taken.

    Attributes
    ----------
    change : GuardedUpdate
        What takes it.
    job : dict
        The job as it is then.
    made : bool
        Whether it is known to be taken.
    """

    change: GuardedUpdate
    job: Document
    made: bool = field(default=False)


class Claims:
    """Prepares and makes the claims of one owner.

    Queued jobs are read some at a time. What was read is only ever run if nothing changed the job
    since: the claim asks for that.

    Parameters
    ----------
    owner : str
        Name of who claims; unique for each process.
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
        """Jobs whose claim was sent to a database that went away: they may be taken, or wait."""
        return [*self._unsure]

    def prepare(self, job_id: JobId, coming: Iterable[JobId] = _NOBODY) -> Claim | None:
        """The claim of a job, to be made; None if it is not queued."""
        if sent := self._unsure.pop(job_id, None):
            return sent
        job = self._seen(job_id, coming)
        if job is None or job["state"] != State.QUEUED:
            return None
        private = {"owner": self._owner, "lease": self._lease, "claimed": utcnow()}
        private["attempt"] = job["_run"]["attempt"] + 1
        values = {f"_run.{name}": value for name, value in private.items()}
        values["state"] = State.RUNNING
        change = GuardedUpdate.of_seen(job, values, {"currentDate": {"_run.beat": True}})
        private |= {"change": change.mark}
        return Claim(change, {**job, "state": State.RUNNING, "_run": {**job["_run"], **private}})

    def claim(self, job_id: JobId, coming: Iterable[JobId] = _NOBODY) -> Document | None:
        """Claim a job; None if it is not queued any more, as another took it.

        Parameters
        ----------
        coming : iterable
            Ids of jobs that may be claimed next: they are read together.
        """
        while claim := self.prepare(job_id, coming):
            if self.make(claim):
                return claim.job
        return None

    def make(self, claim: Claim) -> bool:
        """Make a claim, unless it is made; False if the job changed meanwhile."""
        try:
            claim.made = claim.made or self._changes.make(claim.change)[0]
        except StoreUnavailable:  # whoever asks for it next gets it: it must have one owner
            self._unsure[claim.job["_id"]] = claim
            raise
        return claim.made

    def _seen(self, job_id: JobId, coming: Iterable[JobId]) -> Document | None:
        """A job as it was a moment ago; as it is now, if it was not queued then."""
        with self._lock:  # another slot wants one of those that are being read
            if job_id not in self._read:
                ids = list(islice(chain([job_id], coming), _AHEAD))
                self._read = self._database.call(self._look, ids)
            raw = self._read.pop(job_id, None)
        if raw is not None and raw["state"] == State.QUEUED:
            return bson.decode(raw.raw)
        return self._database.call(self._jobs.find_one, {"_id": job_id})

    def _look(self, job_ids: list[JobId]) -> dict[JobId, RawBSONDocument]:
        """Read jobs, as many as come with the first answer: it is 16 MB long at the most."""
        with self._jobs.find_raw_batches({"_id": {"$in": job_ids}}) as batches:
            first: Any = next(batches, b"")
            found = bson.decode_all(first, _RAW)
        return {job["_id"]: job for job in found}


class LeaseMonitor:
    """Tells runs whose owner is gone from those whose heartbeat was only held up.

    When a clock jumps, a database hangs or a machine sleeps, every heartbeat is old at once. So one
    has to stand still for a while under our eyes before its run counts as silent, and the time that
    passed between two looks counts for no more than it should have been.

    Parameters
    ----------
    lease : float
        Seconds; `silent` is to be called `LOOKS_PER_LEASE` times in that time.
    """

    def __init__(self, lease: float) -> None:
        self._pause = timedelta(seconds=lease / LOOKS_PER_LEASE)
        self._looked = datetime.min
        self._seen: dict[JobId, tuple[datetime, timedelta]] = {}

    def silent(self, running: Iterable[Document], now: datetime) -> list[Document]:
        """Those of the running jobs whose lease is over.

        Parameters
        ----------
        running : iterable of dict
            All running jobs.
        now : datetime
            By the clock that the heartbeats come from.
        """
        passed = min(max(now - self._looked, timedelta()), self._pause)
        self._looked = now
        jobs = list(running)
        self._seen = {job["_id"]: self._still(job, passed) for job in jobs}
        return [job for job in jobs if _is_over(job, self._seen[job["_id"]][1], now)]

    def _still(self, job: Document, passed: timedelta) -> tuple[datetime, timedelta]:
        """A job's last heartbeat, and for how long we saw none after it."""
        beat: datetime = job["_run"]["beat"]
        seen, still = self._seen.get(job["_id"], (None, timedelta()))
        return beat, still + passed if seen == beat else timedelta()


def _is_over(job: Document, still: timedelta, now: datetime) -> bool:
    """Whether a lease is over: a living owner renews it more than twice in a third of it."""
    lease = timedelta(seconds=job["_run"]["lease"])
    return still >= lease or (still > lease / 3 and now - job["_run"]["beat"] > lease)
