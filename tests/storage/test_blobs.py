"""Content in the database: it appears whole or not at all, and nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from bson import ObjectId
from gridfs import GridFSBucket

from jobserver.data.files import DataFiles, KeptOptions
from jobserver.data.gridfs_storage import GridfsStorage
from jobserver.data.stored import StoredData
from jobserver.errors import BadRequest, Conflict, NotFound, TooLarge, Unavailable
from jobserver.storage import blobs as blobs_module
from jobserver.storage.blobs import CHUNK_SIZE, Blobs
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database


@pytest.fixture(scope="module")
def store(uri: str) -> Iterator[Database]:
    """A database for these tests alone."""
    database = Database(uri)
    database.create_indexes()
    yield database
    database.close()


@pytest.fixture
def database(store: Database) -> Iterator[Database]:
    """The same, empty."""
    yield store
    for name in store.collections():
        store[name].delete_many({})


def kept(database: Database, owners: str) -> dict[str, int]:
    """How many documents there are of what belongs to content."""
    parts = ("", ".marks", ".content.files", ".content.chunks")
    return {part: len(list(database.find(owners + part, {}))) for part in parts}


NOTHING = {"": 0, ".marks": 0, ".content.files": 0, ".content.chunks": 0}
ONE = {"": 1, ".marks": 0, ".content.files": 1, ".content.chunks": 1}


class Breaking(BytesIO):
    """A file that cannot be read to its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 2_000_000:
            raise KeyboardInterrupt
        return super().read(size)


def test_an_upload_that_breaks_off_leaves_nothing(database: Database) -> None:
    files = DataFiles(GridfsStorage(database), KeptOptions(database))
    with pytest.raises(KeyboardInterrupt):
        files.save("a.csv", Breaking(bytes(5_000_000)), 10_000_000)
    with pytest.raises(TooLarge):
        files.save("a.csv", BytesIO(bytes(5_000_000)), 4_000_000)
    assert list(files.list()) == []
    assert kept(database, "datafiles") == NOTHING


def test_an_upload_to_a_taken_name_leaves_nothing(database: Database) -> None:
    files = DataFiles(GridfsStorage(database), KeptOptions(database))
    files.save("a.csv", BytesIO(b"first"), 100)
    with pytest.raises(Conflict):
        files.save("a.csv", BytesIO(b"second"), 100)
    assert kept(database, "datafiles") == ONE
    assert files.open("a.csv").content.read() == b"first"
    files.delete("a.csv")
    assert kept(database, "datafiles") == NOTHING


def killed(database: Database, age: Any = blobs_module.PENDING_AGE) -> ObjectId:
    """Leave what a server leaves that is killed while it stores a file."""
    key = ObjectId()
    blobs = Blobs(database, "datafiles", "file")
    blobs.save(key, BytesIO(b"cut off"))
    database["datafiles.marks"].insert_one({"_id": key, "of": "a.csv", "since": utcnow() - age})
    return key


def test_what_a_killed_server_left_is_cleared_later(database: Database) -> None:
    killed(database, 2 * blobs_module.PENDING_AGE)
    fresh = killed(database, blobs_module.PENDING_AGE / 2)  # its server may be alive
    files = DataFiles(GridfsStorage(database), KeptOptions(database))
    files.clear()
    assert [mark["_id"] for mark in database.find("datafiles.marks", {})] == [fresh]
    assert kept(database, "datafiles") == {**ONE, "": 0, ".marks": 1}
    assert list(files.list()) == []


def test_what_was_stored_before_the_kill_is_kept(database: Database) -> None:
    key = killed(database, 2 * blobs_module.PENDING_AGE)
    database.insert("datafiles", {"_id": "a.csv", "file": key, "size": 7})
    files = DataFiles(GridfsStorage(database), KeptOptions(database))
    files.save("b.csv", BytesIO(b"b"), 100)  # it clears too
    assert [info["name"] for info in files.list()] == ["a.csv", "b.csv"]
    assert files.open("a.csv").content.read() == b"cut off"
    assert kept(database, "datafiles")[".marks"] == 0


def test_a_second_try_replaces_what_the_first_left(database: Database) -> None:
    blobs = Blobs(database, "datafiles", "file")
    key = ObjectId()
    with pytest.raises(KeyboardInterrupt):
        blobs.save(key, Breaking(bytes(5_000_000)))
    assert blobs.save(key, BytesIO(b"whole")) == 5
    assert blobs.read(key) == b"whole"


def test_a_file_that_goes_while_it_is_asked_for(database: Database) -> None:
    storage = GridfsStorage(database)
    assert storage.open("a.csv") is None
    with pytest.raises(NotFound), storage.as_file("a.csv"):
        pass


def test_stored_data_leaves_nothing_behind(database: Database) -> None:
    data = StoredData(database)
    data.create({"data": 1}, "mine")
    with pytest.raises(Conflict):
        data.create({"data": 2}, "mine")
    with pytest.raises(BadRequest):
        data.create({"data": 2, "datatype": "text"}, "other")
    for number in range(3):
        data.edit("mine", {"data": number, "n": number})
        data.edit("mine", {"note": "x"})
    assert kept(database, "data") == ONE
    assert data.get("mine")["data"] == 2
    data.delete("mine")
    assert kept(database, "data") == NOTHING


def test_data_whose_content_is_lost_says_so(database: Database) -> None:
    data = StoredData(database)
    data.create({"data": 1}, "mine")
    database["data.content.chunks"].delete_many({})
    with pytest.raises(Unavailable, match="POST it again"):
        data.get("mine")
    data.edit("mine", {"data": 2})
    assert data.get("mine")["data"] == 2


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE])
def test_content_is_read_anywhere(database: Database, size: int) -> None:
    blobs, key, content = Blobs(database, "datafiles", "file"), ObjectId(), os.urandom(size)
    assert blobs.save(key, BytesIO(content)) == size
    assert blobs.read(key) == content
    with blobs.open(key) as file:
        for offset in (size // 2, size - 1, size, 0):
            assert file.seek(max(offset, 0)) == max(offset, 0)
            assert file.read(7) == content[max(offset, 0) :][:7]
        assert file.seek(-1, os.SEEK_END) == size - 1 if size else True
        assert file.seek(0) == 0
        assert file.read() == content


def test_gridfs_finds_content_where_it_looks(database: Database) -> None:
    blobs, key = Blobs(database, "datafiles", "file"), ObjectId()
    blobs.save(key, BytesIO(b"x" * (CHUNK_SIZE + 5)))
    bucket = GridFSBucket(database["datafiles"].database, "datafiles.content")
    assert bucket.open_download_stream(key).read() == b"x" * (CHUNK_SIZE + 5)


def test_content_that_is_gone(database: Database) -> None:
    blobs, key = Blobs(database, "datafiles", "file"), ObjectId()
    assert blobs.read(key) is None
    blobs.save(key, BytesIO(b"x" * 5))
    with blobs.open(key) as file:
        database["datafiles.content.chunks"].delete_many({})
        with pytest.raises(NotFound):
            file.read()
