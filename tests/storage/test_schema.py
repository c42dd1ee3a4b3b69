"""What earlier and later releases stored: the one is read, the other is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobserver.errors import SettingsError
from jobserver.storage.database import Database
from jobserver.storage.duties import COLLECTION
from jobserver.storage.schema import SCHEMA, check_schema
from tests.support.database import emptied
from tests.support.server import MakeServer, finished

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678000)
#: A finished job as releases before the schema number stored it.
FINISHED: dict[str, Any] = {
    "_id": ObjectId(),
    "created": WHEN,
    "started": WHEN,
    "finished": WHEN,
    "result": 3,
    "state": "finished",
    "script": {"type": "function", "name": "add", "args": [1], "kwargs": {}},
    "time_sec": 0.1,
    "error": None,
    "message": None,
    "_run": {"attempt": 1, "change": ObjectId(), "key": ObjectId()},
}
QUEUED = {
    **{"_id": ObjectId(), "created": WHEN, "started": WHEN, "finished": None, "result": None},
    **{"state": "queued", "script": FINISHED["script"]},
    "_run": {"attempt": 0, "change": ObjectId(), "key": ObjectId()},
}


@pytest.fixture
def database(uri: str) -> Iterator[Database]:
    with emptied(uri, COLLECTION) as opened:
        yield opened


def number(database: Database) -> int:
    found = database[COLLECTION].find_one({})
    assert found is not None
    return int(found["number"])


def test_a_database_without_a_number_gets_one(database: Database) -> None:
    for _ in range(2):
        check_schema(database)
        assert number(database) == SCHEMA


def test_a_database_of_a_later_release_is_refused_and_left_alone(database: Database) -> None:
    database[COLLECTION].insert_one({"_id": "schema", "number": SCHEMA + 1})
    with pytest.raises(SettingsError, match=f"{SCHEMA + 1}.*up to {SCHEMA}.*Upgrade"):
        check_schema(database)
    assert number(database) == SCHEMA + 1


@pytest.mark.parametrize("damaged", ["1", None])
def test_a_damaged_number_is_named(database: Database, damaged: object) -> None:
    database[COLLECTION].insert_one({"_id": "schema", "number": damaged})
    with pytest.raises(SettingsError, match=r"damaged.*backup"):
        check_schema(database)


def test_a_database_of_the_first_release_is_refused_and_left_alone(database: Database) -> None:
    first = {"_id": "first", "created": WHEN, "script_name": "summary", "result": None}
    database["jobs"].insert_one(first)
    try:
        with pytest.raises(SettingsError, match=r"0\.1.*MONGO_URI"):
            check_schema(database)
        assert database[COLLECTION].find_one({}) is None
    finally:
        database["jobs"].delete_one(first)
    check_schema(database)


def test_jobs_of_an_earlier_release_are_read_run_and_run_again(
    uri: str, make_server: MakeServer
) -> None:
    where = uri.replace("/jobserver", "/earlier")
    with MongoClient[dict[str, Any]](where) as client:
        stored = client.get_default_database()
        stored["jobs"].insert_many([FINISHED, QUEUED])
        stored["jobs"].create_index([("created", 1)])
        stored["windows"].insert_one({"jobs": 1})
        with make_server(MONGO_URI=where) as server:
            old = server.client.get(f"/job/{FINISHED['_id']}").json()
            assert (old["state"], old["result"]) == ("finished", "3")
            assert finished(server.client, str(QUEUED["_id"]))["result"] == 3
            assert server.client.get("/jobs").json()["found"] == 2
            again = server.client.post(f"/job/{FINISHED['_id']}/rerun").json()["_id"]
            server.client.post(f"/job/{again}/run")
            assert finished(server.client, again)["result"] == 3
        assert "windows" not in stored.list_collection_names()
