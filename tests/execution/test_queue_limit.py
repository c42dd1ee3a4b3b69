"""The limit of a queue that several servers share."""

from __future__ import annotations

import pytest

from jobserver.errors import TooMany
from jobserver.execution import job_queue
from jobserver.execution.job_queue import QueueLimit
from jobserver.storage.documents import JobId


class Database:
    """The waiting jobs, and how often they were counted."""

    def __init__(self) -> None:
        self.waiting: list[JobId] = []
        self.counts = 0

    def find_waiting(self) -> list[JobId]:
        self.counts += 1
        return self.waiting


def queue(limit: QueueLimit, database: Database, *job_ids: JobId) -> None:
    for job_id in job_ids:
        with limit.entered(job_id):
            database.waiting.append(job_id)


def test_what_others_ran_makes_room() -> None:
    database = Database()
    limit = QueueLimit(2, database.find_waiting)
    queue(limit, database, "a", "b")
    database.waiting.remove("a")  # another server took it
    queue(limit, database, "c")
    assert len(limit) == 2
    with pytest.raises(TooMany, match="2 jobs wait"):
        queue(limit, database, "d")
    assert database.waiting == ["b", "c"]


def test_a_full_queue_is_not_counted_for_each_request() -> None:
    database = Database()
    limit = QueueLimit(1, database.find_waiting)
    queue(limit, database, "a")
    for _ in range(50):
        with pytest.raises(TooMany):
            queue(limit, database, "b")
    assert database.counts == 1


def test_what_others_queued_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_queue, "_COUNT_SECONDS", 0.0)
    database = Database()
    limits = [QueueLimit(3, database.find_waiting) for _ in range(3)]
    for name, limit in zip("abc", limits, strict=True):
        queue(limit, database, name)
    with pytest.raises(TooMany, match="3 jobs wait"):
        queue(limits[0], database, "d")


def test_a_count_includes_jobs_being_queued() -> None:
    database = Database()
    limit = QueueLimit(1, database.find_waiting)
    with limit.entered("a"):  # and not yet in the database
        with pytest.raises(TooMany):
            queue(limit, database, "b")
        assert len(limit) == 1


def test_a_job_that_could_not_be_queued_is_not_counted() -> None:
    limit = QueueLimit(1, list)
    with pytest.raises(KeyError), limit.entered("a"):
        raise KeyError
    assert len(limit) == 0
