"""Mails about jobs that ended: the field ``notify``.

The address is kept in the job's private part when the job is accepted. The update that ends the job
sets ``mail`` there; any server that finds it puts the mail into the outbox and removes it.
The mail's id is the job's private key, so a mail that is put in twice is sent once: whenever a
server dies, no mail is lost or duplicated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from jobserver.errors import Problem
from jobserver.jobs.job import PRIVATE, Job, find_jobs, private
from jobserver.mail import is_address, store
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId

_DUE = {"$gte": datetime(1970, 1, 1), "$lt": datetime(9999, 1, 1)}
_FIELDS = ("state", "script.name", "script.type", "finished", "time_sec", "message", PRIVATE)
_BATCH = 100
_LONGEST_MESSAGE = 2000


def recipient(job: Job, owner: str | None, login: bool) -> tuple[str | None, list[Problem]]:
    """Return the address to notify when a job ends, and what is wrong with it.

    Parameters
    ----------
    owner : str or None
        Address of the job's owner.
    login : bool
        Whether users log in: then mails go to the job's owner only.
    """
    notify = job.notify
    if notify is None or notify is False:
        return None, []
    if notify is True:
        wrong = "needs an address: without login, the server knows none"
        return owner, [] if owner else [Problem("notify", wrong)]
    if not isinstance(notify, str) or not is_address(notify):
        return None, [Problem("notify", "must be true, false or an email address")]
    if login and notify.lower() != (owner or "").lower():
        return None, [Problem("notify", "must be true or your own address")]
    return owner if login else notify, []


class Notifications:
    """Puts mails about jobs that ended into the outbox.

    Parameters
    ----------
    database : Database
        Where the jobs and the outbox are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = database["jobs"]

    def send_due(self) -> None:
        """Send the mails about jobs that ended since the last call."""
        self._send(private(mail=_DUE), limit=_BATCH)

    def send_for(self, job_ids: Iterable[JobId]) -> None:
        """Send the mails about some jobs, before these are deleted."""
        if ids := list(job_ids):
            self._send({"_id": {"$in": ids}, **private(mail=_DUE)})

    def _send(self, query: Document, limit: int = 0) -> None:
        for job in list(find_jobs(self._database, query, _FIELDS, limit=limit)):
            run = job.run
            store(self._database, run.key, run.notify, "finished", _mail_fields(job))
            done = {"_id": job.id, **private(key=run.key)}
            self._database.call(self._jobs.update_one, done, {"$unset": private(mail="")})


def _mail_fields(job: Job) -> Document:
    """Return the fields of a mail about a job."""
    script = job.script or {}
    return {
        "id": str(job.id),
        "state": job.state.value,
        "script": script.get("name", script.get("type", "")),
        "finished": job.finished.isoformat(" ", "seconds") if job.finished else "",
        "seconds": f"{job.time_sec:g}",
        "message": (job.message or "")[:_LONGEST_MESSAGE],
        "link": f"/job/{job.id}",
    }
