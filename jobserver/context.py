"""`current_job`: what a script knows about its own run, and how it reports progress."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Shortest time between two progress reports, in seconds.
_INTERVAL = 0.1

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
    """The run that goes on in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: _Run | None = None

    @property
    def id(self) -> str | None:
        """The job's id; None outside a run, as in a script's own tests."""
        run = self._run
        return run.id if run else None

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1; 0 outside a run."""
        run = self._run
        return run.attempt if run else 0

    @property
    def seed(self) -> int | None:
        """The seed of this run, or of this item of a map; None outside a run.

        `random` and `numpy.random` are seeded with it already. Use it to make your own generators
        repeatable: ``numpy.random.default_rng(current_job.seed)``.
        """
        run = self._run
        return run.seed if run else None

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report how far the run is; call this as often as you like.

        Parameters
        ----------
        fraction : float
            Completed part of the run, from 0 to 1.
        message : str, optional
            What is being done.

        Raises
        ------
        ValueError
            If the fraction is not a finite number.
        """
        if not math.isfinite(fraction):
            raise ValueError(f"progress takes a number from 0 to 1, not {fraction!r}")
        with self._lock:
            run, now = self._run, time.monotonic()
            if run and run.span[0] < run.span[1] and (now >= run.due or fraction >= 1):
                run.due = now + _INTERVAL
                text = None if message is None else str(message)
                begin, end = run.span
                run.report(begin + (end - begin) * min(max(float(fraction), 0.0), 1.0), text)

    @contextmanager
    def within(
        self, begin: float, end: float, seed: int | None = None
    ) -> Iterator[tuple[float, float]]:
        """Scale the progress reported in this block to a part; report none if it is empty.

        Parameters
        ----------
        begin, end : float
            Where the part begins and ends in the present part, from 0 to 1.
        seed : int, optional
            Seed of the part, if not that of the run.

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
        """Make this the current run for the length of the block.

        Parameters
        ----------
        report : callable
            Takes progress.
        """
        self._run = _Run(job_id, attempt, report, seed)
        try:
            yield
        finally:
            self._run = None


current_job = CurrentJob()
