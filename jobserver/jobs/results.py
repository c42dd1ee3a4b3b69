"""Large results: files that runs leave, kept in GridFS beside the jobs (`jobserver.storage.blobs`).

A job's document describes its file in the private part only: its ``file`` has ``key``, ``kind``,
``form`` and ``size``. The client sees type, size and address as ``result``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from bson import ObjectId
from pymongo.errors import OperationFailure

from jobserver.encoding import File
from jobserver.errors import TooLarge, Unavailable
from jobserver.jobs.job import PRIVATE, Job
from jobserver.jobs.outcome import Outcome
from jobserver.sizes import exact_size
from jobserver.storage.blobs import Blobs
from jobserver.storage.database import Database


class Results:
    """The large results of the jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._blobs = Blobs(database, "jobs", f"{PRIVATE}.file.key")

    @contextmanager
    def stored(self, job: Job, outcome: Outcome, limit: int) -> Iterator[Outcome]:
        """Store the file of an outcome; keep it if the job's document names it after the block.

        Parameters
        ----------
        limit : int
            Largest size in bytes.

        Yields
        ------
        Outcome
            The outcome with ``result`` and ``file`` for the job's document.

        Raises
        ------
        TooLarge, Unavailable, OSError
            If it is too large, the database cannot store it, or it cannot be read.
        StoreUnavailable
            If the database is away.
        """
        given = outcome.file or {}
        with _opened(Path(given["path"])) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                most = exact_size(limit)
                raise TooLarge(f"the result has {size} bytes; at most {most} can be kept")
            key = ObjectId()
            with self._blobs.settled({key: job.id}):
                self._save(key, file, size)
                shown = {"type": given["kind"], "size": size, "href": f"/job/{job.id}/result"}
                kept = {"key": key, "kind": given["kind"], "form": given["form"], "size": size}
                yield replace(outcome, result=shown, file=kept)

    def open(self, job: Job) -> File | None:
        """Return a job's large result, to read from; None if it has none.

        Raises
        ------
        NotFound
            If its job is being deleted.
        """
        kept = job.run.file
        if kept is None:
            return None
        content = self._blobs.open(kept["key"])

        def read(offset: int, size: int) -> bytes:
            content.seek(offset)
            return content.read(size)

        return File(kept["kind"], kept["form"], kept["size"], read)

    def settled(self, jobs: Iterable[Job]) -> AbstractContextManager[None]:
        """Delete jobs in the block; then the results of those that are gone are deleted."""
        files = [(job.run.file, job.id) for job in jobs]
        return self._blobs.settled({file["key"]: job_id for file, job_id in files if file})

    def clear(self) -> None:
        """Delete what a server left that was killed while it stored or deleted results."""
        self._blobs.clear()

    def _save(self, key: ObjectId, file: BinaryIO, size: int) -> None:
        try:
            self._blobs.save(key, file)
        except OperationFailure as error:
            raise Unavailable(
                f"the result has {size} bytes, and the database could not store them"
            ) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that a script's process left; a pipe or device must not block the server."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(2, "it is not a regular file")
        yield file
