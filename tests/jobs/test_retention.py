"""Old jobs are deleted by one of the servers of a database, and counted once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from bson import ObjectId

from jobserver.jobs.deletion import Retention
from jobserver.jobs.store import Jobs
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from tests.support.server import until

#: Enough that two that sweep at once would meet.
OLD = 120


@pytest.fixture
def jobs(uri: str) -> Iterator[Jobs]:
    database = Database(uri)
    database.create_indexes(login=True)
    yield Jobs(database)
    database["jobs"].delete_many({})
    database["users"].delete_many({})
    database.close()


def old_job(owner: ObjectId) -> dict[str, object]:
    ended = utcnow() - timedelta(hours=1)
    run = {"attempt": 1, "change": ObjectId(), "key": ObjectId(), "size": 100, "result_size": 20}
    return {
        **{"_id": ObjectId(), "created": ended, "finished": ended, "state": "finished"},
        **{"_owner": owner, "_run": run},
    }


def test_two_servers_delete_old_jobs_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = ObjectId()
    jobs.database["users"].insert_one({"_id": owner, "stored": OLD * 120 + 7})
    jobs.database["jobs"].insert_many([old_job(owner) for _ in range(OLD)])
    sweepers: list[Retention] = []
    sweep = Retention.sweep

    def noted(self: Retention) -> bool:
        sweepers.append(self)
        return sweep(self)

    monkeypatch.setattr(Retention, "sweep", noted)
    both = [Retention(jobs, 60) for _ in range(2)]
    for each in both:
        each.start()
    until(lambda: jobs.database["jobs"].count_documents({}) == 0)
    for each in both:
        each.stop()
    assert len(set(sweepers)) == 1
    user = jobs.database["users"].find_one({"_id": owner})
    assert user is not None
    assert user["stored"] == 7
    assert jobs.database["meta"].find_one({"_id": "duty retention"}) is None
