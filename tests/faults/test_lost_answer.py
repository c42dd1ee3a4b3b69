"""A database that does what it is asked, and is gone before it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jobserver.data.files import DataFiles
from jobserver.errors import StoreUnavailable
from jobserver.execution.local import LocalExecutor
from jobserver.home.settings import load
from jobserver.home.template import make_home
from jobserver.jobs.job import State
from jobserver.jobs.outcome import Outcome
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId
from tests.support.server import until

#: Jobs that wait behind the one whose claim is lost: together they take longer than its lease.
BEHIND, SECONDS, LEASE = 5, 0.5, 2.0
SCRIPT = f"""
import time

def work():
    time.sleep({SECONDS})
"""


@pytest.fixture
def executor(uri: str, tmp_path: Path) -> Iterator[LocalExecutor]:
    make_home(tmp_path)
    (tmp_path / "scripts" / "own.py").write_text(SCRIPT)
    settings = load(tmp_path, environ={}, options={"WORKERS": 1, "LEASE_SECONDS": LEASE})
    with closing(Database(uri)) as database:
        database["jobs"].drop()
        database.create_indexes()
        executor = LocalExecutor(database, DataFiles.from_settings(database, settings), settings)
        yield executor
        executor.scripts.close()
        for slot in executor.slots:
            slot.supervisor.dispose()


def queued(executor: LocalExecutor) -> JobId:
    """A job that waits."""
    job = executor.lifecycle.jobs.create({})
    bound = {"script": {"name": "work", "args": [], "kwargs": {}}}
    assert executor.lifecycle.enqueue(job, bound)
    executor.submit(job.id)
    return job.id


def test_a_claim_whose_answer_was_lost_is_taken_up_first(
    executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = executor.lifecycle.database
    lost: list[object] = []
    call = database.call

    def cut_off(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = call(operation, *args, **kwargs)
        claims = len(args) > 1 and args[1].get("$set", {}).get("state") == State.RUNNING
        if claims and not lost:
            lost.append(args[0])
            raise StoreUnavailable("The database went away.", retry_after=1)
        return answer

    monkeypatch.setattr(database, "call", cut_off)
    ids = [queued(executor) for _ in range(1 + BEHIND)]
    executor.start()
    try:
        until(lambda: executor.lifecycle.jobs.get(ids[-1]).state == "finished", 30)
    finally:
        executor.drain(0)
    jobs = [executor.lifecycle.jobs.get(job_id) for job_id in ids]
    assert len(lost) == 1
    assert {(job.state, job.run.attempt) for job in jobs} == {("finished", 1)}
    assert jobs[0].finished == min(job.finished for job in jobs if job.finished)


def test_only_an_outcome_that_was_refused_is_called_late(
    executor: LocalExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    lifecycle, runner = executor.lifecycle, executor.runner
    job = lifecycle.claims.claim(queued(executor))
    assert job is not None
    outcome = Outcome(State.FINISHED, 1, finished=utcnow())
    assert runner._finish_document(job, outcome) is State.FINISHED
    assert runner._finish_document(job, outcome) is None  # as when the answer to the first was lost
    assert "late outcome" not in caplog.text
    assert runner._finish_document(job, Outcome(State.FINISHED, 2, finished=None)) is None
    assert "late outcome" in caplog.text
