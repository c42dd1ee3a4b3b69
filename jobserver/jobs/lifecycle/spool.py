"""Outcomes kept on disk until they can be stored, while the database is away.

Each is a file ``<key>-<attempt>.bson``, with a large result beside it: ``<key>-<attempt>.result``.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import finalize

import bson
from bson.errors import BSONError

from jobserver.jobs.job import PRIVATE, Job, State
from jobserver.jobs.outcome import Outcome
from jobserver.storage.documents import OWNER
from jobserver.system.disk import sync, sync_folder, temporary_folder

log = logging.getLogger(__name__)

#: Fields of a job that are needed to store its outcome later.
_NEEDED = frozenset({"_id", "started", "retries", OWNER, PRIVATE})
_SUFFIX, _RESULT = ".bson", ".result"
_LOST = Outcome(
    State.FAILED,
    error="Unavailable",
    message="the database was away, and the disk had no room for the result until it came back",
)


@dataclass(frozen=True)
class SpooledOutcome:
    """An attempt that ended, with the rest of its output.

    Attributes
    ----------
    job : Job
        The job as it was claimed.
    outcome : Outcome
        How the attempt ended.
    text : bytes
        Output that is not in the database yet.
    offset : int
        Where in the attempt's output it begins.
    """

    job: Job
    outcome: Outcome
    text: bytes
    offset: int

    @property
    def name(self) -> str:
        """Name of its file, unique for each attempt of each job."""
        return f"{self.job.run.key}-{self.job.run.attempt}{_SUFFIX}"

    def encode(self) -> bytes:
        """Return the content of its file."""
        job = {name: value for name, value in self.job.document.items() if name in _NEEDED}
        content = {"job": job, "text": self.text, "offset": self.offset}
        return bson.encode(content | {"outcome": vars(self.outcome)})

    @classmethod
    def read(cls, path: Path) -> SpooledOutcome:
        """Return the attempt in a file."""
        content = bson.decode(path.read_bytes())
        outcome = content["outcome"]
        outcome["state"] = State(outcome["state"])
        if outcome.get("file"):
            outcome["file"]["path"] = str(path.with_suffix(_RESULT))
        job = Job(content["job"], _NEEDED)
        return cls(job, Outcome(**outcome), content["text"], content["offset"])


class Spool:
    """A folder of ended attempts; those that cannot be written to disk are kept in memory.

    Parameters
    ----------
    folder : Path
        The folder, created on demand. If the disk is read-only, it is a temporary one instead.
    """

    def __init__(self, folder: Path) -> None:
        if not os.access(folder.parent, os.W_OK):
            temporary = temporary_folder("spool")
            finalize(self, temporary.cleanup)
            folder = Path(temporary.name)
        self._folder = folder
        self._unsaved: list[SpooledOutcome] = []

    def save(self, ended: SpooledOutcome) -> None:
        """Keep an attempt durably, with the file of a large result."""
        part = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            self._folder.mkdir(exist_ok=True)
            self._keep_file(ended)
            with part.open("xb") as file:
                file.write(ended.encode())
                sync(file)
            part.rename(self._folder / ended.name)
            sync_folder(self._folder)
        except OSError:
            log.exception("the outcome of job %s waits in memory", ended.job.id)
            with suppress(OSError):
                part.unlink()
            lost = replace(ended, outcome=_LOST)
            self._unsaved.append(ended if ended.outcome.file is None else lost)

    @property
    def holds_files(self) -> bool:
        """Whether a large result waits; these take long to store."""
        return any(self._files(large=True))

    def flush(self, store: Callable[[SpooledOutcome], None], *, large: bool = False) -> None:
        """Store the attempts that wait, and remove them from the spool.

        Parameters
        ----------
        large : bool
            Whether to store the large results, or all others.

        Raises
        ------
        StoreUnavailable
            If the database is still away; the rest waits.
        """
        while self._unsaved and not large:
            store(self._unsaved[0])
            del self._unsaved[0]
        for path in self._files(large=large):
            try:
                store(SpooledOutcome.read(path))
            except FileNotFoundError:  # another process of this home was faster
                continue
            except (BSONError, LookupError, TypeError, ValueError):
                log.exception("%s cannot be read; it is set aside", path.name)
                path.rename(path.with_suffix(".broken"))
                continue
            path.with_suffix(_RESULT).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _files(self, *, large: bool) -> Iterator[Path]:
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")) if self._folder.is_dir() else ():
            if path.with_suffix(_RESULT).exists() is large:
                yield path

    def _keep_file(self, ended: SpooledOutcome) -> None:
        """Move the file of a large result into the spool."""
        given = ended.outcome.file
        if given is None:
            return
        path = (self._folder / ended.name).with_suffix(_RESULT)
        shutil.move(given["path"], path)
        with path.open("rb") as file:
            sync(file)
