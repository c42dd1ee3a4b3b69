"""`current_job`: what a script knows of its own run, and how it tells how far it is."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Seconds between two reports that are passed on.
INTERVAL = 0.1

Report = Callable[[float, str | None], None]


@dataclass
class _Run:
    id: str
    attempt: int
    report: Report
    due: float = 0.0
    span: tuple[float, float] = (0.0, 1.0)


class CurrentJob:
    """The run that this process, or this thread of the thread executor, is carrying out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_process: _Run | None = None
        self._of_thread = threading.local()

    @property
    def id(self) -> str | None:
        """The job's id; None where no job runs, as in a script's own tests."""
        run = self._run
        return run.id if run else None

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1; 0 where no job runs."""
        run = self._run
        return run.attempt if run else 0

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Tell how far the run is; call it as often as you like.

        Parameters
        ----------
        fraction : float
            Done part of the whole, from 0 to 1.
        message : str, optional
            What is being done.

        Raises
        ------
        ValueError
            If the fraction is no finite number.
        """
        if not math.isfinite(fraction):
            raise ValueError(f"progress takes a number from 0 to 1, not {fraction!r}")
        with self._lock:
            run, now = self._run, time.monotonic()
            if run and run.span[0] < run.span[1] and (now >= run.due or fraction >= 1):
                run.due = now + INTERVAL
                text = None if message is None else str(message)
                begin, end = run.span
                run.report(begin + (end - begin) * min(max(float(fraction), 0.0), 1.0), text)

    @contextmanager
    def within(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Take the progress of a part for what it is of the whole; none is told of an empty part.

        Yields
        ------
        tuple of float
            Where the part begins and ends in the run.
        """
        run = self._run
        first, last = run.span if run else (0.0, 1.0)
        width = last - first
        span = (first + width * begin, first + width * end)
        if run:
            run.span = span
        try:
            yield span
        finally:
            if run:
                run.span = (first, last)

    @contextmanager
    def entered(
        self, job_id: str, attempt: int, report: Report, *, thread: bool = False
    ) -> Iterator[None]:
        """Be this run for a while: in the whole process, or in this thread alone.

        Parameters
        ----------
        report : callable
            Passes progress on.
        """
        run = _Run(job_id, attempt, report)
        place, name = (self._of_thread, "run") if thread else (self, "_of_process")
        setattr(place, name, run)
        try:
            yield
        finally:
            setattr(place, name, None)

    @property
    def _run(self) -> _Run | None:
        run: _Run | None = getattr(self._of_thread, "run", None)
        return run or self._of_process


current_job = CurrentJob()
