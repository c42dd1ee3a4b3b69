"""Lists of jobs: their order, their pages, which index they use, how they are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import ObjectId
from flask import Flask
from pymongo.errors import CursorNotFound, ExecutionTimeout

from jobserver.api.framework.identity import KEY
from jobserver.api.jobs import JobsQuery, _page
from jobserver.errors import SettingsError, StoreUnavailable, Unavailable
from jobserver.jobs import listing as module
from jobserver.jobs.job import Job
from jobserver.jobs.listing import Cursor, Listing, Selection
from jobserver.jobs.search import JobCount, paths
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database, Document
from jobserver.storage.documents import JobId
from jobserver.storage.indexes import BY_CREATION, BY_ID, check_search_fields, index_of

OWNERS = [ObjectId(), ObjectId()]
FIELDS = ("_owner", "n", "tags", "state")


@pytest.fixture(scope="module")
def database(uri: str) -> Iterator[Database]:
    opened = Database(uri)
    opened.create_indexes(login=True, search_fields=("n", "tags"))
    opened["jobs"].delete_many({})
    opened["jobs"].insert_many(made())
    yield opened
    opened.close()


@pytest.fixture
def listing(database: Database) -> Listing:
    return Listing(database, FIELDS)


def made() -> list[Document]:
    """Jobs of which three at a time were created together, with ids of both kinds."""
    first, jobs = utcnow() - timedelta(days=1), []
    for number in range(60):
        fields = {"n": number % 10, "tags": [number % 2, number % 3], "number": number}
        job_id = f"job{number:02}" if number % 3 < 2 else None
        job = Job.new(fields, job_id, OWNERS[number % 2])
        jobs.append(job.updated({"created": first + timedelta(seconds=number // 6)}).document)
    return jobs


def ids(jobs: Iterable[Job]) -> list[JobId]:
    return [job.id for job in jobs]


def in_pages(listing: Listing, selection: Selection, limit: int) -> list[JobId]:
    """Ids of all selected jobs, read page by page."""
    found: list[JobId] = []
    cursor: Cursor | None = None
    while True:
        jobs, cursor = listing.page(selection, limit, cursor)
        found += ids(jobs)
        if cursor is None:
            return found


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("owner", [None, OWNERS[0]])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"n": 3},
        {"n": {"$in": [3, 4, None]}},
        {"n": {"$gt": 3, "$lte": 6}},
        {"tags": 1},
        {"tags": {"$all": [1, 2]}},
        {"$and": [{"tags": 1}, {"tags": {"$gte": 2}}]},
        {"number": {"$lt": 30}},
        {"_id": {"$gte": "job20"}},
        {"_id": {"$in": ["job01", "job03", "job31"]}},
        {"state": "created"},
        {"state": "queued"},
        {"created": {"$lt": utcnow()}, "n": {"$ne": 2}},
        {"$or": [{"n": 1}, {"tags": 2}]},
    ],
)
def test_pages_and_lists_have_the_order_of_creation(
    database: Database,
    listing: Listing,
    query: Document,
    owner: ObjectId | None,
    newest_first: bool,
) -> None:
    selection = Selection(query, ("number",), newest_first, owner)
    direction = -1 if newest_first else 1
    order = [("created", direction), ("_id", direction)]
    expected = ids(map(Job, database["jobs"].find(selection.complete()).sort(order)))
    assert ids(listing.read(selection)) == expected
    assert listing.count(selection) == len(expected)
    for limit in (1, 7):
        assert in_pages(listing, selection, limit) == expected


@pytest.mark.parametrize(
    ("query", "index", "in_order"),
    [
        ({"n": 1}, index_of("n"), True),
        ({"n": {"$in": [1, 2]}}, index_of("n"), True),
        ({"n": [1]}, index_of("n"), True),
        ({"$and": [{"x": 1}, {"state": "queued"}]}, index_of("state"), True),
        ({"n": {"$gt": 1}}, index_of("n"), False),
        ({"n": {"$eq": 1, "$gt": 0}}, index_of("n"), False),
        ({"_id": "a"}, BY_ID, False),
        ({"_owner": OWNERS[0]}, (("_owner", 1), *BY_CREATION), True),
        ({"x": 1}, None, False),
        ({"created": {"$gt": utcnow()}}, None, False),
        ({"n": {"$ne": 1}}, None, False),
        ({"n": {"$in": []}}, None, False),
        ({"n": {"$exists": True}}, None, False),
        ({"$or": [{"n": 1}]}, None, False),
        ({"$nor": [{"n": 1}]}, None, False),
    ],
)
def test_the_index_for_a_condition(query: Document, index: Any, in_order: bool) -> None:
    found = [(path.index, path.in_order) for path in paths(query, FIELDS)]
    assert found == ([(index, in_order)] if index else [])


def test_two_conditions_on_a_field_are_not_trusted_to_give_an_order() -> None:
    query = {"$and": [{"tags": 1}, {"tags": {"$gt": 0}}]}
    assert [path.in_order for path in paths(query, FIELDS)] == [False, False]


def test_a_condition_with_many_matches_is_read_in_order(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW", 5)
    assert listing._path(Selection({"n": {"$gt": 1}})).index == BY_CREATION
    assert listing._path(Selection({"n": {"$gt": 1}, "state": "created"})).in_order
    assert listing._path(Selection({"_id": "job01", "n": 1})).index == BY_ID


@pytest.mark.parametrize(
    "error", [StoreUnavailable("It restarts."), CursorNotFound("gone"), ExecutionTimeout("late")]
)
def test_a_list_goes_on_where_the_database_lost_it(
    database: Database, listing: Listing, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    expected = ids(listing.read(Selection({})))
    find, reads = Database.find, []

    def cut_off(self: Database, *args: Any, **options: Any) -> Iterator[Document]:
        reads.append(args)
        for number, job in enumerate(find(self, *args, **options)):
            if number == 25:
                raise error
            yield job

    monkeypatch.setattr(Database, "find", cut_off)
    assert ids(listing.read(Selection({}))) == expected
    assert len(reads) == 3


def test_a_search_without_end_is_refused(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> Iterator[Document]:
        raise ExecutionTimeout("late")

    monkeypatch.setattr(Database, "find", late)
    for query in ({"number": 1}, {"_id": "job01"}):
        with pytest.raises(Unavailable, match="SEARCH_FIELDS"):
            list(listing.read(Selection(query)))


def test_counting_stops_in_time(listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> int:
        raise ExecutionTimeout("late")

    monkeypatch.setattr(Database, "call", late)
    assert listing.count(Selection({"number": 1})) is None
    monkeypatch.setattr(JobCount, "_estimate", lambda _: 60)
    assert listing.count(Selection({})) is None


@pytest.mark.parametrize(
    ("count", "expected"),
    [(5, {"found": 5}), (None, {"found": 3, "found_at_least": True})],
)
def test_a_page_says_that_it_was_not_counted_to_the_end(
    count: int | None, expected: Document
) -> None:
    cursor = utcnow(), "b"
    listing = SimpleNamespace(page=lambda *_: ([Job({"_id": "a"}), Job({"_id": "b"})], cursor))
    listing.count = lambda _: count
    app = Flask(__name__)
    app.extensions[KEY] = SimpleNamespace(listing=listing, settings=SimpleNamespace(STRINGIFY=True))
    with app.test_request_context("/jobs?limit=2"):
        page = _page(Selection({}, ("_id", "created")), JobsQuery(limit=2), 2, None)
    content = cast(Document, page.content)
    assert content["next"].startswith("/jobs?limit=2&after=")
    assert {name: content[name] for name in content if name.startswith("found")} == expected


def test_a_count_that_is_too_small_is_never_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = JobCount(database)
    monkeypatch.setattr(JobCount, "_estimate", lambda _: 0)
    assert [total.read(), total.read()] == [60, 60]
    database["jobs"].insert_one(Job.new({}, "another").document)
    assert total.read() == 61
    database["jobs"].delete_one({"_id": "another"})
    assert total.read() == 60


def test_jobs_are_listed_without_an_index_too(database: Database) -> None:
    listing, selection = Listing(database, ("other",)), Selection({"other": None})
    assert listing.count(selection) == 60
    assert len(list(listing.read(selection))) == 60


def test_a_count_that_a_crash_left_wrong_is_corrected(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        JobCount, "_estimate", lambda _: database["jobs"].estimated_document_count() + 7
    )
    total = JobCount(database)
    assert [total.read(), total.read()] == [60, 60]
    database["jobs"].insert_one(Job.new({}, "another").document)
    assert total.read() == 61
    database["jobs"].delete_one({"_id": "another"})
    assert total.read() == 60


OLD_INDEXES = ("created_1", "state_1_created_1", "_owner_1_created_1")


def test_an_older_database_gets_the_indexes_of_now(uri: str) -> None:
    database = Database(uri)
    jobs, names = database["jobs"], ("windows", "deleted")
    for index in OLD_INDEXES:
        fields = index.removesuffix("_1").split("_1_")
        jobs.create_index([(field, 1) for field in fields])
    for name in names:
        database[name].insert_one({"_id": utcnow()})
    for _ in range(2):
        database.create_indexes(login=True)
        known = jobs.index_information()
        assert not set(OLD_INDEXES) & set(known)
        assert not set(names) & set(database.collections())
        assert [*BY_CREATION] in [index["key"] for index in known.values()]
    database.close()


@pytest.mark.parametrize(
    "names",
    ["_id", "created", "state", "_run.key", "_owner", "a..b", "$a", "a.$b", "a.0", "a" * 300],
)
def test_search_fields_that_cannot_be(names: str) -> None:
    with pytest.raises(SettingsError, match="SEARCH_FIELDS"):
        check_search_fields((names,))


def test_search_fields_are_few() -> None:
    check_search_fields(("script_name", "result.value.25%"))
    with pytest.raises(SettingsError, match="32"):
        check_search_fields(tuple(f"f{number}" for number in range(33)))
