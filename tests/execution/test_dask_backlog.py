"""Which job a cluster gets next, and what its processes have installed."""

from __future__ import annotations

from bson import ObjectId

from jobserver.execution.dask.backlog import Backlog, unmet
from jobserver.execution.dask.versions import PACKAGE, differences

HERE = {"python": "3.11.7.final.0", "dask": "2", "distributed": "2", PACKAGE: "1", "pyarrow": "9"}
OFFERS = {"tcp://a": {"GPU": 1.0, "memory": 8e9}, "tcp://b": {"memory": 16e9}}


def taken(backlog: Backlog) -> object:
    job_id = backlog.next(OFFERS)
    if job_id is not None:
        backlog.take(job_id)
    return job_id


def test_the_oldest_job_comes_first_and_once() -> None:
    backlog, jobs = Backlog(), [ObjectId() for _ in range(3)]
    for job in (*jobs, jobs[0]):
        backlog.add(job)
    assert [taken(backlog) for _ in range(4)] == [*jobs, None]
    backlog.add(jobs[1])
    assert backlog.next(OFFERS) is None


def test_a_job_held_back_follows_once_its_resource_is_free() -> None:
    backlog, first, second, plain = Backlog(), ObjectId(), ObjectId(), ObjectId()
    backlog.handed[first] = {"GPU": 1}
    assert not backlog.fits({"GPU": 1}, OFFERS)
    backlog.hold(second, {"GPU": 1})
    backlog.add(second)
    backlog.add(plain)
    assert taken(backlog) == plain
    assert taken(backlog) is None
    del backlog.handed[first]
    assert taken(backlog) == second
    assert backlog.handed[second] == {"GPU": 1}


def test_memory_adds_up() -> None:
    backlog = Backlog()
    backlog.handed |= {ObjectId(): {"memory": 10e9}, ObjectId(): {"memory": 10e9}}
    assert backlog.fits({"memory": 4e9}, OFFERS)
    assert not backlog.fits({"memory": 4e9 + 1}, OFFERS)
    assert backlog.fits({}, OFFERS)


def test_a_job_whose_only_worker_is_gone_is_stranded() -> None:
    backlog, lost, fine = Backlog(), ObjectId(), ObjectId()
    backlog.handed |= {lost: {"GPU": 1}, fine: {"memory": 1e9}}
    assert backlog.stranded({"tcp://b": OFFERS["tcp://b"]}) == [lost]
    assert backlog.stranded(OFFERS) == []


def test_a_job_that_needs_nothing_waits_for_any_worker() -> None:
    backlog = Backlog()
    backlog.handed[ObjectId()] = {}
    assert list(unmet({}, {})) == []
    assert backlog.stranded({}) == []


def test_one_worker_has_to_offer_all_of_it() -> None:
    assert list(unmet({"GPU": 1, "memory": 8e9}, OFFERS)) == []
    assert [one.field for one in unmet({"GPU": 1, "memory": 9e9}, OFFERS)] == ["resources"]
    assert [one.field for one in unmet({"FPGA": 1, "GPU": 1}, OFFERS)] == ["resources.FPGA"]
    assert "--resources" in next(unmet({"GPU": 1}, {"tcp://a": {}})).problem


def test_equal_versions_are_not_mentioned() -> None:
    patch = {**HERE, "python": "3.11.9.final.0"}
    assert differences(HERE, {"tcp://a": HERE, "tcp://b": patch}) == {}


def test_a_worker_with_other_versions_is_named_with_both() -> None:
    there = {**HERE, "python": "3.12.1.final.0", "distributed": "1", "pyarrow": None}
    first, second = (found := differences(HERE, {"tcp://a": HERE, "tcp://b": there}))
    assert {*found.values()} == {"tcp://b"}
    for words in ("python 3.12, unlike 3.11", "distributed 1, unlike 2"):
        assert words in first
    assert "lacks pyarrow" in second


def test_a_worker_without_jobserver_is_told_what_to_install() -> None:
    bare = {**HERE, PACKAGE: None}
    (problem,) = differences(HERE, {f"tcp://{number}": bare for number in range(3)})
    assert f"{PACKAGE}[dask]==1" in problem
