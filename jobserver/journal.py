"""What a run tells while it goes on: its output and its progress, on their way to the database."""

from __future__ import annotations

import logging
import re
import time

from jobserver.database import Document
from jobserver.errors import StoreUnavailable
from jobserver.models import logs
from jobserver.models.runs import Runs

log = logging.getLogger(__name__)

#: Seconds between two writes to the database, and the same while it is away.
WRITE_SECONDS = 0.5
AWAY_SECONDS = 5.0
CUT = b"\n[the output is cut here: the limit is reached]\n"

#: A progress bar as tqdm and its like draw it: ``summing:  42%|####      | ...``
_BAR = re.compile(rb"(?:^|[\r\n])([^\r\n|%]*?):?\s*(\d{1,3})%\|")
_TAIL = 200


class Journal:
    """Collects what a run tells and writes it, not more often than every `WRITE_SECONDS`.

    Parameters
    ----------
    runs : Runs
        The life of the jobs in the database.
    job : dict
        The claimed job.
    limit : int
        Bytes of output that are kept; what comes after is left out, and a mark says so.

    Attributes
    ----------
    written : int
        Bytes of output that are in the database.
    """

    def __init__(self, runs: Runs, job: Document, limit: int) -> None:
        self._runs = runs
        self._job = job
        self._left = limit
        self._text = bytearray()
        self._piece = b""
        self._tail = b""
        self._progress: tuple[float, str | None] | None = None
        self._due = time.monotonic() + WRITE_SECONDS
        self.written = 0

    @property
    def unwritten(self) -> bytes:
        """Output that is not in the database yet."""
        return self._piece + bytes(self._text)

    def output(self, text: bytes) -> None:
        """Take what was printed."""
        if b"%|" in text:
            self._look_for_bar(text)
        self._tail = text[-_TAIL:]
        if text and self._left >= 0:
            self._text += text[: self._left]
            self._left -= len(text)
            if self._left < 0:
                self._text += CUT

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""
        self._progress = fraction, message

    def tick(self) -> None:
        """Write what is due; where the database is away, try again later."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + WRITE_SECONDS
        try:
            self.write()
        except StoreUnavailable:
            log.warning("the output of job %s waits for the database", self._job["_id"])
            self._due = time.monotonic() + AWAY_SECONDS

    def write(self) -> None:
        """Write what was not written yet.

        Raises
        ------
        StoreUnavailable
            If the database is away; nothing is lost, and nothing is written twice.
        """
        while self._piece or self._text:
            if not self._piece:  # what is tried again has to be the same piece at the same place
                self._piece, self._text = bytes(self._text), bytearray()
            private = self._job["_run"]
            place = private["key"], private["attempt"], self.written
            logs.append(self._runs.database, *place, self._piece)
            self.written += len(self._piece)
            self._piece = b""
        if self._progress:
            self._runs.report(self._job, *self._progress)
            self._progress = None

    def _look_for_bar(self, text: bytes) -> None:
        found = _BAR.findall(self._tail + text)
        if found:
            title, percent = found[-1]
            message = title.decode(errors="replace").strip() or None
            self._progress = min(int(percent), 100) / 100, message
