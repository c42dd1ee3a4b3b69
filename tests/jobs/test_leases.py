from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobserver.jobs.job import Job
from jobserver.jobs.lifecycle.claims import LeaseMonitor

LEASE = 30.0
LOOK = LEASE / 6
NOON = datetime(2026, 1, 1, 12)


def job(beat: float) -> Job:
    """A running job whose heartbeat is of so many seconds after noon."""
    return Job({"_id": "a", "_run": {"beat": NOON + timedelta(seconds=beat), "lease": LEASE}})


def look(watch: LeaseMonitor, beat: float, now: float) -> bool:
    """Whether the job is found silent at so many seconds after noon."""
    return bool(watch.expired([job(beat)], NOON + timedelta(seconds=now)))


def test_a_dead_owner_is_found_when_its_lease_is_over() -> None:
    watch = LeaseMonitor(LEASE)
    found = [now for now in range(0, 60, 5) if look(watch, 0, now)]
    assert found[0] == 30


def test_one_who_comes_later_needs_a_few_looks() -> None:
    watch = LeaseMonitor(LEASE)
    found = [now for now in range(3600, 3660, 5) if look(watch, 0, now)]
    assert found[0] == 3615


def test_one_that_lost_its_clock_is_found_after_a_lease() -> None:
    watch = LeaseMonitor(LEASE)
    found = [now for now in range(0, 60, 5) if look(watch, 86_400, now)]
    assert found[0] == 30


def test_a_job_that_is_run_anew_is_watched_anew() -> None:
    watch = LeaseMonitor(LEASE)
    for now in range(0, 30, 5):
        look(watch, 0, now)
    assert watch.expired([], NOON + timedelta(seconds=30)) == []
    assert not look(watch, 0, 35)


def test_slow_looks_find_it_too() -> None:
    watch = LeaseMonitor(LEASE)
    assert any(look(watch, 0, now) for now in range(0, 400, 40))


@given(
    jumps=st.lists(st.one_of(st.just(0.0), st.floats(-200_000, 200_000)), min_size=20, max_size=40),
    phase=st.floats(0, LOOK),
)
def test_a_living_owner_is_never_found_silent_whatever_the_clock_does(
    jumps: list[float], phase: float
) -> None:
    """The owner renews its lease between two looks, but not between a jump and the next look."""
    watch, now = LeaseMonitor(LEASE), 0.0
    for jump in jumps:
        beat = now + phase
        now += LOOK + jump
        assert not look(watch, beat, now)


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=20))
def test_whoever_slept_or_hung_is_given_time(sleeps: list[float]) -> None:
    """Owner and watcher sleep together, and the watcher wakes up first each time."""
    watch, now, beat = LeaseMonitor(LEASE), 0.0, 0.0
    for sleep in sleeps:
        now += sleep
        for _ in range(2):  # the owner is late by two looks
            assert not look(watch, beat, now)
            now += LOOK
        beat = now
