"""Limits on attempts, shared by all servers of a database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobserver.errors import TooMany
from jobserver.storage.database import Database
from jobserver.storage.indexes import EXPIRY
from jobserver.users.rate_limits import RateLimiter
from tests.support.server import until

HOUR = 3600.0
#: Long enough that no test sees its end.
AGE = 10 * 365 * 24 * HOUR


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    opened = Database(uri)
    opened.create_indexes()
    opened["attempts"].delete_many({})
    yield opened
    opened.close()


def tried(counted: RateLimiter, what: str, who: str, limit: int = 3) -> bool:
    try:
        counted.count(what, who, limit, AGE)
    except TooMany:
        return False
    return True


def test_so_many_and_no_more(database: Database) -> None:
    one, other = RateLimiter(database), RateLimiter(database)
    allowed = [tried(each, "login", "anna") for each in (one, other, one, other, one)]
    assert allowed == [True, True, True, False, False]
    assert tried(one, "login", "bert")
    assert tried(one, "reset", "anna")
    assert not tried(one, "login", "anna")
    assert tried(one, "login", "anna", limit=4)


def test_the_refusal_says_when_to_come_back(database: Database) -> None:
    counted = RateLimiter(database)
    with pytest.raises(TooMany) as refused:
        counted.count("login", "anna", 0, HOUR)
    assert refused.value.status == 429
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= HOUR
    assert str(refused.value.retry_after) in refused.value.message


def test_a_window_ends(database: Database) -> None:
    counted = RateLimiter(database)

    def full() -> bool:
        try:
            counted.count("login", "anna", 1, 0.5)
        except TooMany:
            return True
        return False

    until(full)
    until(lambda: not full())


def test_many_at_once_get_exactly_the_limit(uri: str, database: Database) -> None:
    counted = [RateLimiter(Database(uri)) for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        allowed = list(pool.map(lambda n: tried(counted[n % 3], "login", "anna", 10), range(60)))
    assert sum(allowed) == 10
    [kept] = database["attempts"].find({})
    assert kept["count"] == 10  # refused ones leave nothing
    for one in counted:
        one._database.close()


def test_what_is_kept_names_nobody_and_goes(database: Database) -> None:
    odd = "anna@example.org\0\ud800" * 1000
    RateLimiter(database).count("login", odd, 1, HOUR)
    kept = database["attempts"].find_one({})
    assert kept is not None
    assert "anna" not in str(kept)
    assert len(kept["_id"]) < 100
    field, seconds = EXPIRY["attempts"]
    assert kept[field] > database.now()
    indexes = database["attempts"].index_information()
    assert [one for one in indexes.values() if one.get("expireAfterSeconds") == seconds]
