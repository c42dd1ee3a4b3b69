"""The places of a queue that several servers share."""

from __future__ import annotations

import pytest

from jobserver.errors import TooMany
from jobserver.execution.job_queue import QueueLimit
from jobserver.storage.documents import JobId


class Database:
    """What waits, and how often somebody looked."""

    def __init__(self) -> None:
        self.waiting: list[JobId] = []
        self.looks = 0

    def look(self) -> list[JobId]:
        self.looks += 1
        return self.waiting


def queue(room: QueueLimit, database: Database, *job_ids: JobId) -> None:
    for job_id in job_ids:
        with room.entered(job_id):
            database.waiting.append(job_id)


def test_what_others_ran_makes_room() -> None:
    database = Database()
    room = QueueLimit(2, database.look)
    queue(room, database, "a", "b")
    database.waiting.remove("a")  # another server took it
    queue(room, database, "c")
    assert len(room) == 2
    with pytest.raises(TooMany, match="2 jobs wait"):
        queue(room, database, "d")
    assert database.waiting == ["b", "c"]


def test_a_full_queue_is_not_counted_for_each_request() -> None:
    database = Database()
    room = QueueLimit(1, database.look)
    queue(room, database, "a")
    for _ in range(50):
        with pytest.raises(TooMany):
            queue(room, database, "b")
    assert database.looks == 1


def test_a_look_forgets_nobody_who_is_being_queued() -> None:
    database = Database()
    room = QueueLimit(1, database.look)
    with room.entered("a"):  # and not yet in the database
        with pytest.raises(TooMany):
            queue(room, database, "b")
        assert len(room) == 1


def test_who_could_not_be_queued_gives_the_place_back() -> None:
    room = QueueLimit(1, list)
    with pytest.raises(KeyError), room.entered("a"):
        raise KeyError
    assert len(room) == 0
