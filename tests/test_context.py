"""What a script knows about its own run, and how it reports progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from jobserver.context import CurrentJob

Reports = list[tuple[float, str | None]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def reports() -> Reports:
    return []


@pytest.fixture
def job(clock: list[float], reports: Reports) -> Iterator[CurrentJob]:
    """A job whose run goes on."""
    job = CurrentJob()
    with job.entered("a1", 2, lambda fraction, text: reports.append((fraction, text)), seed=7):
        yield job


def test_outside_a_run_there_is_no_job_and_progress_goes_nowhere() -> None:
    job = CurrentJob()
    assert (job.id, job.attempt, job.seed) == (None, 0, None)
    job.progress(0.5)
    with job.within(0.25, 0.5) as span:
        assert span == (0.25, 0.5)


def test_a_run_ends_with_its_block() -> None:
    job = CurrentJob()
    with suppress(KeyError), job.entered("a1", 2, lambda *_: None, seed=7):
        assert (job.id, job.attempt, job.seed) == ("a1", 2, 7)
        raise KeyError
    assert job.id is None


def test_progress_is_reported_ten_times_a_second_and_at_its_end(
    job: CurrentJob, clock: list[float], reports: Reports
) -> None:
    for now, fraction in ((0.0, 0.1), (0.05, 0.2), (0.11, 0.3), (0.12, 1.0)):
        clock[0] = now
        job.progress(fraction, "x")
    assert reports == [(0.1, "x"), (0.3, "x"), (1.0, "x")]


@pytest.mark.parametrize(("fraction", "reported"), [(-1, 0.0), (3, 1.0), (True, 1.0)])
def test_progress_stays_between_0_and_1(
    job: CurrentJob, reports: Reports, fraction: float, reported: float
) -> None:
    job.progress(fraction)
    assert reports == [(reported, None)]


@pytest.mark.parametrize("fraction", [float("nan"), float("inf")])
def test_progress_that_is_no_number_is_refused(
    job: CurrentJob, reports: Reports, fraction: float
) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        job.progress(fraction)
    assert reports == []


def test_a_part_scales_its_progress_and_has_its_own_seed(
    job: CurrentJob, clock: list[float], reports: Reports
) -> None:
    with job.within(0.5, 1.0), job.within(0.0, 0.5, seed=8) as span:
        assert span == (0.5, 0.75)
        assert job.seed == 8
        job.progress(0.5)
    clock[0] = 1
    job.progress(0.5)
    assert job.seed == 7
    assert reports == [(0.625, None), (0.5, None)]


def test_an_empty_part_reports_nothing(job: CurrentJob, reports: Reports) -> None:
    with job.within(0.0, 0.0):
        job.progress(1.0)
    assert reports == []
