"""A host whose clock is wrong counts by the database's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobserver.storage import clock
from jobserver.storage.database import Database
from jobserver.users.tokens import TokenSigner

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def host() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def found(ahead: timedelta, took: timedelta = timedelta()) -> None:
    """Compare the clocks, with this host ahead of the database by so much."""
    clock.compare(host() - took / 2 - ahead, took.total_seconds())


@pytest.fixture(autouse=True)
def _right_clock() -> Iterator[None]:
    found(timedelta())
    yield
    found(timedelta())


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_times_and_ids_are_the_databases_if_the_host_is_an_hour_off(
    ahead: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    found(ahead)
    expected = host() - ahead
    assert abs(clock.utcnow() - expected) < SECOND
    assert abs(clock.shared(time.time()) - expected) < SECOND
    assert abs(clock.timestamp() - expected.replace(tzinfo=UTC).timestamp()) < 1
    assert abs(clock.new_id().generation_time.replace(tzinfo=None) - expected) < 2 * SECOND
    assert clock.age(clock.new_id()) < 2 * SECOND
    assert "3600 s" in caplog.text
    assert ("ahead" if ahead > timedelta() else "behind") in caplog.text


@pytest.mark.parametrize("ahead", range(-9, 10))
def test_times_of_this_host_keep_their_order_among_the_shared_ones(ahead: int) -> None:
    found(HOUR + timedelta(milliseconds=ahead / 10))
    found(HOUR)
    for _ in range(1000):
        before, moment = clock.utcnow(), time.time()
        assert before <= clock.shared(moment) <= clock.utcnow()


def test_it_is_said_once_and_once_more_when_the_clock_was_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for moment in range(3):
        found(HOUR + moment * SECOND / 100)
    assert len(caplog.records) == 1
    found(timedelta())
    assert len(caplog.records) == 2
    assert "agrees" in caplog.text
    assert abs(clock.utcnow() - host()) < SECOND


def test_small_differences_and_slow_replies_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found(SECOND)
    found(3 * SECOND, took=8 * SECOND)
    assert abs(clock.utcnow() - host()) < SECOND
    assert not caplog.records


def test_a_clock_that_jumps_jumps_for_nobody_and_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before, right = clock.utcnow(), time.time
    monkeypatch.setattr(time, "time", lambda: right() + 3600)
    assert clock.utcnow() - before < SECOND
    clock.compare(host(), 0.0)
    assert clock.utcnow() - before < SECOND
    assert "3600 s ahead" in caplog.text


def test_ids_of_a_host_with_a_wrong_clock_differ() -> None:
    found(HOUR)
    assert len({clock.new_id() for _ in range(1000)}) == 1000


def test_tokens_expire_by_the_shared_clock() -> None:
    signer = TokenSigner("a secret of this test")
    token = signer.sign("access", {"user": "anna"})
    found(-HOUR)
    assert signer.read("access", token, 3500) is None
    assert signer.read("access", token, 3700) == {"user": "anna"}


def test_the_database_is_asked_for_its_time(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[datetime, float]] = []
    monkeypatch.setattr(clock, "compare", lambda *what: asked.append(what))
    database = Database(uri)
    assert abs(database.now() - host()) < 2 * SECOND
    database.close()
    [(told, took)] = asked
    assert abs(told - host()) < 2 * SECOND
    assert 0 < took < 2
