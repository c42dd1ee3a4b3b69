"""Charging and settling: each happens once, and what was left open is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from jobserver.errors import StoreUnavailable, TooMany
from jobserver.jobs.job import Job, State
from jobserver.jobs.outcome import INTERRUPTED
from jobserver.jobs.quotas import Quotas
from jobserver.storage.database import Database
from jobserver.users.policy import Role
from jobserver.users.user import User

MakeUser = Callable[..., ObjectId]


@pytest.fixture(scope="module")
def database(uri: str) -> Iterator[Database]:
    opened = Database(uri)
    yield opened
    opened.close()


@pytest.fixture
def quotas(database: Database) -> Quotas:
    return Quotas(database)


@pytest.fixture
def make_user(database: Database) -> MakeUser:
    def made(**fields: Any) -> ObjectId:
        user = User(email="ada@example.org", password="-", role=Role.USER, **fields)  # noqa: S106
        database.insert("users", user.to_document())
        return user.id

    return made


def job_of(owner: ObjectId, state: State = State.CREATED, **private: Any) -> Job:
    fields = {key: private.pop(key) for key in ("error",) if key in private}
    run = {"change": ObjectId(), **private}
    return Job({"_id": ObjectId(), "state": state.value, "_owner": owner, "_run": run, **fields})


def usage(database: Database, owner: ObjectId) -> tuple[int, int, int]:
    """Jobs charged, jobs open, and bytes stored."""
    user = database["users"].find_one({"_id": owner})
    assert user
    return user["charged"], len(user["open"]), user["stored"]


def charge(quotas: Quotas, job: Job) -> ObjectId:
    with quotas.charged(job) as fields:
        return fields["charge"]


def charged(quotas: Quotas, database: Database, job: Job) -> Job:
    """The job as it is stored once it was charged for."""
    run = {**job.document["_run"], "charge": charge(quotas, job)}
    document = {**job.document, "_run": run}
    database.insert("jobs", document)
    return Job(document)


def test_a_run_is_charged_and_settled_once(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    job = charged(quotas, database, job_of(owner))
    assert usage(database, owner) == (1, 1, 0)
    for _ in range(2):
        quotas.settle(job, None, 500)
    assert usage(database, owner) == (1, 0, 500)


def test_an_interrupted_run_costs_nothing(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    job = charged(quotas, database, job_of(owner))
    for _ in range(2):
        quotas.settle(job, INTERRUPTED, 0)
    assert usage(database, owner) == (0, 0, 0)


def test_what_was_not_queued_is_given_back(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    job = job_of(owner)
    with pytest.raises(KeyError), quotas.charged(job):
        raise KeyError
    with quotas.charged(job) as fields:
        pass
    quotas.give_back(job, fields)
    assert usage(database, owner) == (0, 0, 0)


def test_a_charge_stays_where_the_job_may_be_queued(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    with pytest.raises(StoreUnavailable), quotas.charged(job_of(owner)):
        raise StoreUnavailable("away", retry_after=1)
    assert usage(database, owner) == (1, 1, 0)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"job_quota": 1, "charged": 1}, "job_quota of 1"),
        ({"job_limit": 0}, "job_limit of 0"),
        ({"storage_quota": 10, "stored": 11}, "storage_quota"),
        ({"active": False}, "account is closed"),
    ],
)
def test_a_quota_that_is_used_up_is_named_and_nothing_is_charged(
    database: Database, quotas: Quotas, make_user: MakeUser, limits: dict[str, Any], named: str
) -> None:
    owner = make_user(**limits)
    before = usage(database, owner)
    with pytest.raises(TooMany, match=named):
        charge(quotas, job_of(owner))
    assert usage(database, owner) == before


def test_a_storage_quota_that_is_just_full_allows_a_run(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user(storage_quota=10, stored=10)
    charge(quotas, job_of(owner))
    assert usage(database, owner) == (1, 1, 10)


def test_jobs_at_once_are_limited_until_one_ends(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user(job_limit=2)
    jobs = [job_of(owner) for _ in range(2)]
    first, _ = [charge(quotas, job) for job in jobs]
    with pytest.raises(TooMany, match="job_limit of 2"):
        charge(quotas, job_of(owner))
    quotas.give_back(jobs[0], {"charge": first})
    charge(quotas, job_of(owner))
    assert usage(database, owner) == (2, 2, 0)


@pytest.mark.parametrize(
    ("error", "left"), [(None, (2, 1, 300)), (INTERRUPTED, (1, 1, 300))], ids=str
)
def test_a_job_that_ended_while_its_server_was_killed_is_settled_when_it_matters(
    database: Database,
    quotas: Quotas,
    make_user: MakeUser,
    error: str | None,
    left: tuple[int, int, int],
) -> None:
    owner = make_user(job_limit=1)
    job = job_of(owner, State.FAILED if error else State.FINISHED, error=error, result_size=300)
    charged(quotas, database, job)
    charge(quotas, job_of(owner))
    assert usage(database, owner) == left


def test_a_charge_without_a_queued_job_is_given_back_after_a_while(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    charge(quotas, job_of(owner))  # by a server that was killed just then
    quotas.reconcile(owner)
    assert usage(database, owner) == (1, 1, 0)
    late = ObjectId.from_datetime(datetime.now(UTC) - timedelta(minutes=1))
    database["users"].update_one({"_id": owner}, {"$set": {"open.0.token": late}})
    quotas.reconcile(owner)
    assert usage(database, owner) == (0, 0, 0)


def test_a_late_charge_of_a_job_that_is_queued_stays(
    database: Database, quotas: Quotas, make_user: MakeUser
) -> None:
    owner = make_user()
    job = job_of(owner, State.QUEUED)
    late = ObjectId.from_datetime(datetime.now(UTC) - timedelta(minutes=1))
    database.insert("jobs", {**job.document, "_run": {"charge": late, "change": ObjectId()}})
    entry = {"open": [{"token": late, "job": job.id}], "charged": 1}
    database["users"].update_one({"_id": owner}, {"$set": entry})
    quotas.reconcile(owner)
    assert usage(database, owner) == (1, 1, 0)
