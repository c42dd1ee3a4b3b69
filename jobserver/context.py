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
    seed: int
    due: float = 0.0
    span: tuple[float, float] = (0.0, 1.0)


class CurrentJob:
    """The run that this process is carrying out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: _Run | None = None

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

    @property
    def seed(self) -> int | None:
        """What the random numbers of this run, or of this item of a map, start from.

        `random` and `numpy.random` are seeded with it already. Generators of your own are made
        repeatable by it: ``numpy.random.default_rng(current_job.seed)``. None where no job runs.
        """
        run = self._run
        return run.seed if run else None

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
    def within(
        self, begin: float, end: float, seed: int | None = None
    ) -> Iterator[tuple[float, float]]:
        """Take the progress of a part for what it is of the whole; none is told of an empty part.

        Parameters
        ----------
        begin, end : float
            Where the part begins and ends in the whole, from 0 to 1.
        seed : int, optional
            What its random numbers start from, if not from where those of the whole do.

        Yields
        ------
        tuple of float
            Where the part begins and ends in the run.
        """
        run = self._run
        first, last = run.span if run else (0.0, 1.0)
        width = last - first
        span = (first + width * begin, first + width * end)
        former = run.seed if run else 0
        if run:
            run.span, run.seed = span, former if seed is None else seed
        try:
            yield span
        finally:
            if run:
                run.span, run.seed = (first, last), former

    @contextmanager
    def entered(self, job_id: str, attempt: int, report: Report, seed: int) -> Iterator[None]:
        """Be this run for a while.

        Parameters
        ----------
        report : callable
            Passes progress on.
        """
        self._run = _Run(job_id, attempt, report, seed)
        try:
            yield
        finally:
            self._run = None


current_job = CurrentJob()
