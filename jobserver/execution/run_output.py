"""What a run reports: output, progress and steps, on their way to the database."""

from __future__ import annotations

import logging
import math
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from jobserver.errors import StoreUnavailable
from jobserver.jobs import logs
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import INTERRUPTED, Outcome
from jobserver.storage.clock import shared, utcnow
from jobserver.storage.database import Document

log = logging.getLogger(__name__)
#: Seconds between two writes to the database, and between two attempts while it is away.
_WRITE_SECONDS = 0.5
_AWAY_SECONDS = 5.0
#: A progress bar as tqdm draws it: ``summing:  42%|####      | ...``
_BAR = re.compile(rb"(?:^|[\r\n])([^\r\n|%]*?):?\s*(\d{1,3})%\|")
_TAIL = 200
CUT = b"\n[the output is cut here: the limit is reached]\n"
#: Bytes at the end of the omitted output that are searched for the traceback of a failure.
_END = 16 * 1024
_TRACEBACK = b"Traceback (most recent call last):"
#: Steps that are kept at either end of a long pipeline.
ENDS = 100
_LONGEST_NAME = 200


class RunRecorder:
    """Collects what a run reports, and writes it at most every `_WRITE_SECONDS`.

    Parameters
    ----------
    lifecycle : JobLifecycle
        Changes jobs in the database.
    job : Job
        The claimed job.
    output_filter : OutputFilter
        Decides what is kept of the output.

    Attributes
    ----------
    job : Job
        The claimed job, as its run changed it last.
    written : int
        Bytes of output that are in the database.
    """

    def __init__(self, lifecycle: JobLifecycle, job: Job, output_filter: OutputFilter) -> None:
        self._lifecycle = lifecycle
        self.job = job
        self._filter = output_filter
        self._text = bytearray()
        self._piece = b""
        self._tail = b""
        self._progress: tuple[float, str | None] | None = None
        self._part = 0.0, 1.0
        self._steps = StepRecords()
        self._lock = threading.RLock()  # slots that are lent to a map have output too
        self._due = time.monotonic() + _WRITE_SECONDS
        self.written = 0

    @property
    def unwritten(self) -> bytes:
        """Output that is not in the database yet."""
        return self._piece + bytes(self._text)

    def redact(self, folder: str) -> None:
        """Leave a folder's path out of the output."""
        self._filter.redact(folder)

    def output(self, text: bytes) -> None:
        """Take what was printed."""
        with self._lock:
            if b"%|" in text:
                self._find_bar(text)
            self._tail = text[-_TAIL:]
            self._text += self._filter.feed(text)

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""
        self._progress = fraction, message

    def step(self, message: Mapping[str, object]) -> None:
        """Take which step of a pipeline begins; its child's message is not trusted."""
        self._steps.take(message)
        fraction, text = message.get("fraction"), message.get("message")
        if isinstance(fraction, float) and 0 <= fraction <= 1:
            self._progress = fraction, text[:_TAIL] if isinstance(text, str) else None
            until = message.get("until")
            self.part(fraction, until if isinstance(until, float) else fraction)

    def part(self, begin: float, end: float) -> None:
        """Take which part of the run the progress bars that follow cover."""
        self._part = begin, min(max(begin, end), 1.0)

    def complete(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a run that ends now; a failure names the step it happened in."""
        self._text += self._filter.end(failed=outcome.state is State.FAILED)
        step, message, now = self._steps.running, str(outcome.message), utcnow()
        steps = self._steps.listed(outcome.state, now)
        is_named = message.startswith(step) or outcome.error == INTERRUPTED
        if step and outcome.state is State.FAILED and not is_named:
            outcome = replace(outcome, message=f"{step}: {message}")
        return replace(outcome, steps=steps or None, finished=now)

    def tick(self) -> None:
        """Write what is due; try again later if the database is away."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _WRITE_SECONDS
        try:
            self.write()
        except StoreUnavailable:
            log.warning("the output of job %s waits for the database", self.job.id)
            self._due = time.monotonic() + _AWAY_SECONDS

    def write(self) -> None:
        """Write what was not written yet.

        Raises
        ------
        StoreUnavailable
            If the database is away; nothing is lost, and nothing is written twice.
        """
        while self._piece or self._text:
            if not self._piece:  # a repeated try must write the same piece at the same offset
                with self._lock:
                    self._piece, self._text = bytes(self._text), bytearray()
            run = self.job.run
            logs.append(self._lifecycle.database, run.key, run.attempt, self.written, self._piece)
            self.written += len(self._piece)
            self._piece = b""
        if self._progress:
            self.job = self._lifecycle.report(self.job, *self._progress, self._steps.listed())
            self._progress = None

    def _find_bar(self, text: bytes) -> None:
        """Take the progress of the last bar that was printed."""
        found = _BAR.findall(self._tail + text)
        if found:
            title, percent = found[-1]
            message = title.decode(errors="replace").strip() or None
            begin, end = self._part
            if begin < end:
                done = min(int(percent), 100) / 100
                self._progress = begin + (end - begin) * done, message


class StepRecords:
    """The steps of a pipeline: when each began, how long it took, how it ended.

    Attributes
    ----------
    running : str
        How messages name the current step; empty before the first.
    """

    def __init__(self) -> None:
        self.running = ""
        self._first: list[Document] = []
        self._last: list[Document] = []

    def take(self, message: Mapping[str, object]) -> None:
        """Take how a step ended and which one begins; the child's message is not trusted."""
        record = self._record()
        seconds = message.get("took")
        if record and isinstance(seconds, float) and math.isfinite(seconds):
            record |= {"time_sec": round(seconds, 6), "state": State.FINISHED.value}
            self.running = ""
        number, name, started = (message.get(key) for key in ("step", "name", "started"))
        if isinstance(number, int) and isinstance(name, str) and isinstance(started, float):
            now = time.time()
            moment = started if 0 < started < now else now
            name = name[:_LONGEST_NAME].encode(errors="replace").decode()
            self.running = f"step {number} ({name})"
            begun = {"step": number, "name": name, "started": shared(moment)}
            self._add({**begun, "time_sec": None, "state": State.RUNNING.value})

    def listed(self, state: State = State.RUNNING, now: datetime | None = None) -> list[Document]:
        """Return the steps; the current one gets the state of an attempt that ended.

        Parameters
        ----------
        now : datetime
            When the attempt ended.
        """
        record = self._record()
        if record and now and record["state"] == State.RUNNING:
            seconds = (now - record["started"]).total_seconds()
            record |= {"state": state.value, "time_sec": max(seconds, 0.0)}
        return [*self._first, *self._last]

    def _record(self) -> Document | None:
        known = self._last or self._first
        return known[-1] if known else None

    def _add(self, record: Document) -> None:
        if len(self._first) < ENDS:
            self._first.append(record)
        else:
            self._last = [*self._last[-ENDS + 1 :], record]


class OutputFilter:
    """Takes the output of a run piece by piece, and returns what is kept of each.

    Parameters
    ----------
    limit : int
        Bytes to keep; the rest is omitted, and a line says so.
    folders : iterable of str
        Absolute folders to remove from the paths in the output.
    """

    def __init__(self, limit: int, folders: Iterable[str]) -> None:
        self._left = limit
        self._folders: list[bytes] = []
        self._pending = self._omitted = b""
        self.redact(*folders)

    def redact(self, *folders: str) -> None:
        """Remove these folders too."""
        names = {folder.rstrip("/").encode() + b"/" for folder in folders} - {b"/"}
        self._folders = sorted({*self._folders, *names}, key=len, reverse=True)

    def feed(self, text: bytes) -> bytes:
        """Return what is kept now; what may be the start of a folder's path is held back."""
        text = self._without_folders(self._pending + text)
        pending = max((_overlap(text, folder) for folder in self._folders), default=0)
        self._pending = text[len(text) - pending :]
        return self._kept(text[: len(text) - pending])

    def end(self, *, failed: bool) -> bytes:
        """Return what is kept at the end: the traceback of a failure, even beyond the limit."""
        rest, self._pending = self._kept(self._pending), b""
        begin = self._omitted.find(_TRACEBACK) if failed else -1
        return rest + self._omitted[begin:] if begin >= 0 else rest

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
            self._omitted = (self._omitted + text[max(self._left, 0) :])[-_END:]
            self._left = -1
        else:
            self._left -= len(text)
        return kept


def _overlap(text: bytes, folder: bytes) -> int:
    """Return how many bytes at the end of a text are the start of a folder's path."""
    for size in range(min(len(folder) - 1, len(text)), 0, -1):
        if text.endswith(folder[:size]):
            return size
    return 0
