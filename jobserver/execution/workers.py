"""The processes that run jobs of one database, and which scripts each has.

Every process with slots announces itself. One that lacks the script of a job leaves the job to the
others, as long as one of them has it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document

log = logging.getLogger(__name__)

COLLECTION = "workers"
#: Seconds between two announcements, and after which a silent process is not counted any more.
ANNOUNCE_SECONDS = 30.0
GONE_SECONDS = 3 * ANNOUNCE_SECONDS
#: Seconds for which what was found is used again, and names in a line of the log.
_FRESH_SECONDS = 2.0
_SHOWN = 5

Versions = Mapping[str, str | None]


@dataclass(frozen=True)
class Worker:
    """A process that runs jobs.

    Attributes
    ----------
    host : str
        Its machine.
    scripts : mapping
        Names of the scripts it has, with the checksum of each one's file.
    """

    host: str
    scripts: Versions


class Workers:
    """The processes that run jobs of one database.

    Parameters
    ----------
    owner : str
        Name of this process: its host, and what makes it unique after a colon.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._collection = database[COLLECTION]
        self._owner = owner
        self._host = _host(owner)
        self._announced: Versions | None = None
        self._due = 0.0
        self._others: list[Worker] = []
        self._read_at = -_FRESH_SECONDS
        self._lock = threading.Lock()

    def announce(self, scripts: Versions) -> None:
        """Say which scripts are here, if that is new or was said long ago.

        What others have and this process does not, or in another version, is logged once.
        """
        now = time.monotonic()
        if scripts == self._announced and now < self._due:
            return
        names = sorted(scripts)
        values = {"scripts": names, "versions": [scripts[name] for name in names]}
        update: Document = {"$currentDate": {"seen": True}, "$set": values}
        self._database.call(self._collection.update_one, {"_id": self._owner}, update, upsert=True)
        self._due = now + ANNOUNCE_SECONDS
        if scripts != self._announced:
            self._announced = dict(scripts)
            self._warn(scripts)
            self._warn_of_versions(scripts)

    def leave(self) -> None:
        """Run no more jobs."""
        if self._announced is not None:
            self._announced = None
            self._database.forget(COLLECTION, {"_id": self._owner})

    def others_have(self, names: Collection[str]) -> bool:
        """Whether another process has all of some scripts."""
        return any(worker.scripts.keys() >= {*names} for worker in self._living())

    def hosts(self) -> list[str]:
        """Return the names of all machines that run jobs."""
        return sorted({self._host, *(worker.host for worker in self._living())})

    def _living(self) -> list[Worker]:
        """Return the other processes that were heard of lately."""
        with self._lock:
            if time.monotonic() >= self._read_at + _FRESH_SECONDS:
                oldest = utcnow() - timedelta(seconds=GONE_SECONDS)
                query = {"_id": {"$ne": self._owner}, "seen": {"$gt": oldest}}
                found = self._database.find(COLLECTION, query)
                self._others = [Worker(_host(each["_id"]), _versions(each)) for each in found]
                self._read_at = time.monotonic()
            return self._others

    def _warn(self, scripts: Versions) -> None:
        others = self._living()
        missing = {name for worker in others for name in worker.scripts} - scripts.keys()
        if not missing:
            return
        having = sorted({each.host for each in others if each.scripts.keys() & missing})
        log.warning(
            "This host, %s, lacks scripts that others have: %s. Jobs that need them are left to "
            "%s; copy the missing scripts here to run them on both.",
            self._host,
            _listed(missing),
            ", ".join(having),
        )

    def _warn_of_versions(self, scripts: Versions) -> None:
        for worker in self._living():
            known = {name for name, version in worker.scripts.items() if version}
            shared = known & scripts.keys()
            if changed := {name for name in shared if scripts[name] != worker.scripts[name]}:
                log.warning(
                    "This host, %s, has other versions of some scripts than %s: %s. Jobs run in "
                    "either version; copy the scripts of one host to the other.",
                    self._host,
                    worker.host,
                    _listed(changed),
                )


def _versions(announced: Document) -> Versions:
    """Return the scripts of a process; those of an earlier release have no versions."""
    names = announced["scripts"]
    return dict(zip(names, announced.get("versions", [None] * len(names)), strict=True))


def _listed(names: Collection[str]) -> str:
    shown, more = sorted(names)[:_SHOWN], len(names) - _SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _host(owner: str) -> str:
    return owner.partition(":")[0]
