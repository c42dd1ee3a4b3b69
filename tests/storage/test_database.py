"""What the database refuses, and what of it is tried again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bson import ObjectId
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    NotPrimaryError,
    OperationFailure,
    WriteConcernError,
    WriteError,
)

from jobserver.errors import JobserverError, StoreUnavailable, TooLarge
from jobserver.jobs.updates import GuardedUpdate, GuardedUpdates
from jobserver.storage.database import RETRIES, Database

MB = 1_000_000
STEPPED_DOWN, FULL_DISK, OVERSIZE, REFUSED = 189, 14031, 10334, 13


@pytest.fixture(scope="module")
def database(uri: str) -> Iterator[Database]:
    opened = Database(uri)
    yield opened
    opened.close()


def batch(kind: str, code: int) -> BulkWriteError:
    told = {"writeErrors": [], "writeConcernErrors": [], kind: [{"code": code, "errmsg": ""}]}
    return BulkWriteError({"nModified": 1, **told})


def test_of_two_changes_one_may_be_too_large(database: Database) -> None:
    large, small = ObjectId(), ObjectId()
    database.insert("jobs", {"_id": large, "text": "x" * 10 * MB, "_run": {}})
    database.insert("jobs", {"_id": small, "_run": {}})
    more = GuardedUpdate.build(large, {}, {"more": "x" * 9 * MB})
    with pytest.raises(TooLarge):
        GuardedUpdates(database).make(more, GuardedUpdate.build(small, {}, {"more": 1}))
    assert database["jobs"].count_documents({"_id": large, "more": {"$exists": True}}) == 0
    assert database["jobs"].count_documents({"_id": small, "more": 1}) == 1


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("the connection broke"),
        NotPrimaryError("not the primary", {"code": 10107}),
        WriteConcernError("it steps down", STEPPED_DOWN, {"code": STEPPED_DOWN}),
        WriteError("it steps down", STEPPED_DOWN, {"code": STEPPED_DOWN}),
        batch("writeErrors", STEPPED_DOWN),
        batch("writeConcernErrors", STEPPED_DOWN),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_change_of_the_primary_cut_off_is_tried_again(
    database: Database, error: Exception
) -> None:
    left = [error] * RETRIES

    def operation() -> str:
        if left:
            raise left.pop()
        return "done"

    assert database.call(operation) == "done"
    left += [error] * (RETRIES + 1)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        database.call(operation)
    assert not left


@pytest.mark.parametrize(
    ("code", "expected"),
    [(FULL_DISK, StoreUnavailable), (REFUSED, StoreUnavailable), (OVERSIZE, TooLarge)],
)
@pytest.mark.parametrize("kind", ["writeErrors", "one write"])
def test_a_refused_write_is_told_alone_and_among_others(
    database: Database, kind: str, code: int, expected: type[JobserverError]
) -> None:
    alone = WriteError("", code, {"index": 0, "code": code})
    error: OperationFailure = alone if kind == "one write" else batch(kind, code)
    tries = []

    def operation() -> None:
        tries.append(error)
        raise error

    with pytest.raises(expected):
        database.call(operation)
    assert len(tries) == 1
