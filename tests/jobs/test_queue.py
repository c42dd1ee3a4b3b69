"""The length and age of the queue, as the database knows them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobserver.errors import StoreUnavailable
from jobserver.jobs.job import Job, State
from jobserver.jobs.lifecycle import transitions
from jobserver.jobs.lifecycle.transitions import JobLifecycle, Queue
from jobserver.jobs.outcome import Outcome
from jobserver.storage.database import Database


@pytest.fixture
def lifecycle(uri: str) -> Iterator[JobLifecycle]:
    """The life of jobs in an empty database."""
    database = Database(uri)
    database["jobs"].delete_many({})
    yield JobLifecycle(database, "one", 3600)
    database.close()


def enqueue(lifecycle: JobLifecycle, **fields: object) -> Job:
    """Queue a new job."""
    job = Job.new({"script": {"name": "noop"}, **fields})
    assert lifecycle.database.insert("jobs", job.document)
    queued = lifecycle.enqueue(job, {})
    assert queued is not None
    return queued


def test_an_empty_queue_has_no_age(lifecycle: JobLifecycle) -> None:
    lifecycle.database.insert("jobs", Job.new({}).document)
    assert lifecycle.queue() == Queue(0, None)


def test_the_oldest_job_counts_until_it_runs(lifecycle: JobLifecycle) -> None:
    first, second = enqueue(lifecycle), enqueue(lifecycle)
    assert lifecycle.queue() == Queue(2, first.started)
    lifecycle.claims.claim(first.id)
    assert lifecycle.queue() == Queue(1, second.started)


def test_a_job_that_is_tried_again_waits_since_its_last_attempt(lifecycle: JobLifecycle) -> None:
    job = enqueue(lifecycle, retries=1)
    claimed = lifecycle.claims.claim(job.id)
    assert claimed is not None
    assert lifecycle.finish(claimed, Outcome(State.FAILED, error="E")) is State.QUEUED
    queue = lifecycle.queue()
    assert queue.length == 1
    assert queue.since == lifecycle.jobs.get(job.id).document["edited"]
    assert queue.since is not None
    assert claimed.started is not None
    assert queue.since > claimed.started


def test_a_database_that_does_not_answer_in_time_is_away(
    lifecycle: JobLifecycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.queue()
    monkeypatch.setattr(transitions, "QUEUE_SECONDS", 1e-6)
    with pytest.raises(StoreUnavailable):
        lifecycle.queue()
