"""A duty is done by one process at a time, and by another one if that is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from jobserver.storage.database import SELECTION_SECONDS, Database
from jobserver.storage.duties import COLLECTION, Duty
from tests.support.database import emptied
from tests.support.server import until

LONG = 3600.0


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    with emptied(uri, COLLECTION) as opened:
        yield opened


def test_of_many_that_ask_at_once_one_gets_it_and_keeps_it(database: Database) -> None:
    asking = [Duty(database, "sweep", LONG) for _ in range(10)]
    with ThreadPoolExecutor(len(asking)) as pool:
        first = list(pool.map(Duty.is_mine, asking))
    assert sum(first) == 1
    assert [each.is_mine() for each in asking] == first
    assert Duty(database, "another", LONG).is_mine()


def test_it_goes_to_another_one_that_asks_once_it_is_left_or_its_owner_silent(
    database: Database,
) -> None:
    one, other = Duty(database, "sweep", LONG), Duty(database, "sweep", LONG)
    assert one.is_mine()
    other.leave()  # which has nothing to leave
    assert not other.is_mine()
    one.leave()
    assert other.is_mine()
    past = database.now() - timedelta(seconds=1)
    database[COLLECTION].update_one({}, {"$set": {"until": past}})
    assert one.is_mine()


def test_leaving_takes_no_long_while_if_the_database_is_away() -> None:
    away = Database("mongodb://127.0.0.1:9/jobserver")
    began = time.monotonic()
    Duty(away, "sweep", LONG).leave()
    assert time.monotonic() - began < SELECTION_SECONDS
    away.close()


def test_its_owner_keeps_it_as_long_as_it_asks(database: Database) -> None:
    one, other = Duty(database, "sweep", 0.0), Duty(database, "sweep", LONG)
    assert all(one.is_mine() for _ in range(3))
    until(other.is_mine)
    assert not one.is_mine()
