"""What a run tells while it goes on: its output and its progress, on their way to the database."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from jobserver.errors import StoreUnavailable
from jobserver.jobs import logs
from jobserver.jobs.job import State
from jobserver.jobs.lifecycle.steps import StepRecords
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import INTERRUPTED, Outcome
from jobserver.storage.database import Document
from jobserver.storage.documents import utcnow

log = logging.getLogger(__name__)
#: Seconds between two writes to the database, and the same while it is away.
WRITE_SECONDS = 0.5
AWAY_SECONDS = 5.0
#: A progress bar as tqdm and its like draw it: ``summing:  42%|####      | ...``
_BAR = re.compile(rb"(?:^|[\r\n])([^\r\n|%]*?):?\s*(\d{1,3})%\|")
_TAIL = 200
CUT = b"\n[the output is cut here: the limit is reached]\n"
#: Bytes at the end of what was left out, in which the traceback of a failure is looked for.
_END = 16 * 1024
_TRACEBACK = b"Traceback (most recent call last):"


class RunRecorder:
    """Collects what a run tells and writes it, not more often than every `WRITE_SECONDS`.

    Parameters
    ----------
    runs : JobLifecycle
        The life of the jobs in the database.
    job : dict
        The claimed job.
    printed : OutputFilter
        Tells what is kept of the output.

    Attributes
    ----------
    written : int
        Bytes of output that are in the database.
    """

    def __init__(self, runs: JobLifecycle, job: Document, printed: OutputFilter) -> None:
        self._runs = runs
        self._job = job
        self._printed = printed
        self._text = bytearray()
        self._piece = b""
        self._tail = b""
        self._progress: tuple[float, str | None] | None = None
        self._part = 0.0, 1.0
        self._steps = StepRecords()
        self._lock = threading.RLock()  # slots that help with a map have output too
        self._due = time.monotonic() + WRITE_SECONDS
        self.written = 0

    @property
    def unwritten(self) -> bytes:
        """Output that is not in the database yet."""
        return self._piece + bytes(self._text)

    def redact(self, folder: str) -> None:
        """Do not tell a folder in the output."""
        self._printed.redact(folder)

    def output(self, text: bytes) -> None:
        """Take what was printed."""
        with self._lock:
            if b"%|" in text:
                self._look_for_bar(text)
            self._tail = text[-_TAIL:]
            self._text += self._printed.feed(text)

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""
        self._progress = fraction, message

    def step(self, message: Mapping[str, Any]) -> None:
        """Take which step of a pipeline begins, as its child tells it."""
        self._steps.take(message)
        fraction, text = message.get("fraction"), message.get("message")
        if isinstance(fraction, float) and 0 <= fraction <= 1:
            self._progress = fraction, text[:_TAIL] if isinstance(text, str) else None
            until = message.get("until")
            self.part(fraction, until if isinstance(until, float) else fraction)

    def part(self, begin: float, end: float) -> None:
        """Take which part of the whole the progress bars that follow are about."""
        self._part = begin, min(max(begin, end), 1.0)

    def completed(self, outcome: Outcome) -> Outcome:
        """The outcome of a run that ends now; a failure tells the step that it was in."""
        self._text += self._printed.end(failed=outcome.state is State.FAILED)
        step, message, now = self._steps.running, str(outcome.message), utcnow()
        steps = self._steps.listed(outcome.state, now)
        told = message.startswith(step) or outcome.error == INTERRUPTED
        if step and outcome.state is State.FAILED and not told:
            outcome = replace(outcome, message=f"{step}: {message}")
        return replace(outcome, steps=steps or None, finished=now)

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
                with self._lock:
                    self._piece, self._text = bytes(self._text), bytearray()
            private = self._job["_run"]
            place = private["key"], private["attempt"], self.written
            logs.append(self._runs.database, *place, self._piece)
            self.written += len(self._piece)
            self._piece = b""
        if self._progress:
            self._runs.report(self._job, *self._progress, self._steps.listed())
            self._progress = None

    def _look_for_bar(self, text: bytes) -> None:
        found = _BAR.findall(self._tail + text)
        if found:
            title, percent = found[-1]
            message = title.decode(errors="replace").strip() or None
            begin, end = self._part
            if begin < end:
                done = min(int(percent), 100) / 100
                self._progress = begin + (end - begin) * done, message


class OutputFilter:
    """Takes the output of a run piece by piece, and gives what is kept of each.

    Parameters
    ----------
    limit : int
        Bytes that are kept; what comes after is left out, and a mark says so.
    folders : iterable of str
        Absolute folders; what is named in them is told by the rest of its name.
    """

    def __init__(self, limit: int, folders: Iterable[str]) -> None:
        self._left = limit
        self._folders: list[bytes] = []
        self._held = self._dropped = b""
        self.redact(*folders)

    def redact(self, *folders: str) -> None:
        """Do not tell these folders either."""
        names = {folder.rstrip("/").encode() + b"/" for folder in folders} - {b"/"}
        self._folders = sorted({*self._folders, *names}, key=len, reverse=True)

    def feed(self, text: bytes) -> bytes:
        """What is kept now; the start of what may be the name of a folder waits for its end."""
        text = self._without_folders(self._held + text)
        waits = max((_overlap(text, folder) for folder in self._folders), default=0)
        self._held = text[len(text) - waits :]
        return self._kept(text[: len(text) - waits])

    def end(self, *, failed: bool) -> bytes:
        """What is kept at the end: of a failure the traceback, also where much came before."""
        rest, self._held = self._kept(self._held), b""
        place = self._dropped.find(_TRACEBACK) if failed else -1
        return rest + self._dropped[place:] if place >= 0 else rest

    def _without_folders(self, text: bytes) -> bytes:
        for folder in self._folders:
            text = text.replace(folder, b"")
        return text

    def _kept(self, text: bytes) -> bytes:
        if not text:
            return b""
        kept = text[: max(self._left, 0)]
        if self._left < len(text):
            kept += CUT if self._left >= 0 else b""
            self._dropped = (self._dropped + text[max(self._left, 0) :])[-_END:]
            self._left = -1
        else:
            self._left -= len(text)
        return kept


def _overlap(text: bytes, folder: bytes) -> int:
    """How many bytes at the end of a text are the start of a folder's name."""
    for size in range(min(len(folder) - 1, len(text)), 0, -1):
        if text.endswith(folder[:size]):
            return size
    return 0
