"""Outcomes that could not be stored because the database was away: kept on disk until they are."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bson
from bson.errors import BSONError

from jobserver.database import Document
from jobserver.models.job import State
from jobserver.models.outcome import Outcome

log = logging.getLogger(__name__)

#: What of a job is needed to store its outcome later.
_NEEDED = ("_id", "started", "retries", "_run")


@dataclass(frozen=True)
class Ended:
    """An attempt that ended, with what it printed last.

    Attributes
    ----------
    job : dict
        The job as it was claimed.
    outcome : Outcome
        How the attempt ended.
    text : bytes
        Output that is not in the database yet.
    offset : int
        Where in the attempt's output it begins.
    """

    job: Document
    outcome: Outcome
    text: bytes
    offset: int

    @property
    def name(self) -> str:
        """Name of its file: one for each attempt of each job."""
        private = self.job["_run"]
        return f"{private['key']}-{private['attempt']}.bson"

    def encode(self) -> bytes:
        """The bytes of its file."""
        job = {name: self.job[name] for name in _NEEDED if name in self.job}
        content = {"job": job, "text": self.text, "offset": self.offset}
        return bson.encode(content | {"outcome": vars(self.outcome)})

    @classmethod
    def decode(cls, data: bytes) -> Ended:
        """The attempt that a file holds."""
        content = bson.decode(data)
        outcome = content["outcome"]
        outcome["state"] = State(outcome["state"])
        return cls(content["job"], Outcome(**outcome), content["text"], content["offset"])


class Spool:
    """A folder of ended attempts. What even the disk does not take stays in memory.

    Parameters
    ----------
    folder : Path
        Where; it is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsaved: list[Ended] = []

    def save(self, ended: Ended) -> None:
        """Keep an attempt durably."""
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                file.write(ended.encode())
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._folder / ended.name)
        except OSError:
            log.exception("the outcome of job %s waits in memory", ended.job["_id"])
            part.unlink(missing_ok=True)
            self._unsaved.append(ended)

    def flush(self, store: Callable[[Ended], None]) -> None:
        """Store what waits, and forget what is stored.

        Raises
        ------
        StoreUnavailable
            If the database is still away; the rest goes on waiting.
        """
        while self._unsaved:
            store(self._unsaved[0])
            del self._unsaved[0]
        for path in sorted(self._folder.glob("*.bson")) if self._folder.is_dir() else ():
            try:
                store(Ended.decode(path.read_bytes()))
            except FileNotFoundError:  # another process of this home was faster
                continue
            except (BSONError, KeyError, ValueError):
                log.exception("%s cannot be read; it is left aside", path.name)
                path.rename(path.with_suffix(".broken"))
                continue
            path.unlink(missing_ok=True)
