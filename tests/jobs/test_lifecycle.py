"""The life of runs, run at random on a real database against the table of transitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from jobserver.errors import Conflict, StoreUnavailable
from jobserver.jobs.job import PRIVATE, TERMINAL, TRANSITIONS, Job, State
from jobserver.jobs.lifecycle.transitions import JobLifecycle
from jobserver.jobs.outcome import CANCELLED, Outcome, interrupted
from jobserver.storage.database import Database
from jobserver.storage.documents import JobId
from jobserver.storage.embedded import EmbeddedServer
from tests.support.strategies import fuzzed

LEASE = 3600.0
ONLY_RUNNING = ("owner", "beat", "lease", "claimed", "cancel")
OUTCOMES = (
    Outcome(State.FINISHED, 42),
    Outcome(State.FAILED, error="ValueError", message="no"),
    interrupted("on purpose"),
    CANCELLED,
)
#: What may be reached from each state in one step of several transitions.
REACHABLE = {state: {state, *following} for state, following in TRANSITIONS.items()}
SUBMITTED = {"script": {"name": "noop", "args": [], "kwargs": {}}}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    embedded = EmbeddedServer(tmp_path_factory.mktemp("home"))
    database = Database(embedded.start())
    database.create_indexes()
    yield database
    database.close()
    embedded.stop()


class Life(RuleBasedStateMachine):
    """Two owners do what they may to a few jobs."""

    database: Database
    jobs = Bundle("jobs")
    claims = Bundle("claims")

    @initialize()
    def begin(self) -> None:
        self.owners = [JobLifecycle(self.database, str(ObjectId()), LEASE) for _ in range(2)]
        self.seen: dict[JobId, Job] = {}

    def note(self, job_id: JobId, *, claimed: bool = False, ended: State | None = None) -> None:
        """Hold a job against what it was before: one step of the table, or none."""
        old, new = self.seen[job_id], self.owners[0].jobs.get(job_id)
        was, now = old.state, new.state
        assert now in REACHABLE[was]
        assert new.run.attempt == old.run.attempt + claimed
        if was in TERMINAL:
            assert new == old
        if claimed:
            assert (was, now) == (State.QUEUED, State.RUNNING)
        if ended:
            assert was is State.RUNNING
            assert now is ended
        if now is not State.RUNNING:
            assert new.document[PRIVATE].keys().isdisjoint(ONLY_RUNNING)
        if new.retries and now in {State.FINISHED, State.FAILED}:
            numbers = [one["attempt"] for one in new.document["attempts"]]
            assert numbers == list(range(1, new.run.attempt + 1))
        self.seen[job_id] = new

    @rule(target=jobs, retries=st.sampled_from([0, 0, 2]))
    def create(self, retries: int) -> JobId:
        job = self.owners[0].jobs.create({"retries": retries})
        self.seen[job.id] = self.owners[0].jobs.get(job.id)
        return job.id

    @rule(job_id=jobs)
    def edit(self, job_id: JobId) -> None:
        jobs, created = self.owners[0].jobs, self.seen[job_id].state == State.CREATED
        if created:
            jobs.edit(job_id, {"note": str(ObjectId())})
        else:
            with pytest.raises(Conflict):
                jobs.edit(job_id, {"note": "too late"})
        self.note(job_id)

    @rule(job_id=jobs, stale=st.booleans())
    def enqueue(self, job_id: JobId, stale: bool) -> None:
        """Of two that saw the same job created, one queues it."""
        job = self.owners[0].jobs.get(job_id)
        if stale and job.state == State.CREATED:
            self.owners[1].jobs.edit(job_id, {"note": "changed meanwhile"})
        queued = [owner.enqueue(job, SUBMITTED) for owner in self.owners]
        expected = job.state == State.CREATED and not stale
        assert [one is not None for one in queued] == [expected, False]
        self.note(job_id)

    @rule(target=claims, job_id=jobs, first=st.integers(0, 1))
    def claim(self, job_id: JobId, first: int) -> Job | None:
        """Of two that claim, the first gets it, if it is queued."""
        queued = self.seen[job_id].state == State.QUEUED
        job = self.owners[first].claims.claim(job_id, self.seen)  # all others are read ahead
        assert (job is not None) == queued
        assert self.owners[1 - first].claims.claim(job_id) is None
        self.note(job_id, claimed=queued)
        return job

    @rule(claim=claims, outcome=st.sampled_from(OUTCOMES))
    def end(self, claim: Job | None, outcome: Outcome) -> None:
        """End a run; its end may be reported again later, and too late."""
        if claim is None:
            return
        seen = self.seen[claim.id]
        current = seen.state == State.RUNNING
        current = current and seen.run.attempt == claim.run.attempt
        state = self.owners[0].finish(claim, outcome)
        assert (state is not None) == current
        self.note(claim.id, ended=state)

    @rule(claim=consumes(claims), outcome=st.sampled_from(OUTCOMES))
    def end_for_good(self, claim: Job | None, outcome: Outcome) -> None:
        self.end(claim, outcome)

    @rule(
        target=claims,
        claim=claims,
        outcome=st.sampled_from(OUTCOMES),
        job_id=jobs,
        stale=st.booleans(),
    )
    def end_and_claim(
        self, claim: Job | None, outcome: Outcome, job_id: JobId, stale: bool
    ) -> Job | None:
        """The end of a run and the claim of another job, in one request and each for itself."""
        if claim is None or claim.id == job_id:
            return None
        claims = self.owners[0].claims
        following = claims.prepare(job_id, self.seen)
        assert (following is not None) == (self.seen[job_id].state == State.QUEUED)
        if stale and following:
            self.owners[1].jobs.edit(job_id, {"pinned": True})
        seen = self.seen[claim.id]
        current = seen.state == State.RUNNING
        current = current and seen.run.attempt == claim.run.attempt
        state = self.owners[0].finish(claim, outcome, following)
        assert (state is not None) == current
        self.note(claim.id, ended=state)
        taken = following is not None and claims.make(following)
        assert taken == (following is not None and not stale)
        self.note(job_id, claimed=taken)
        return following.job if following and taken else None

    @rule(claim=claims, fraction=st.floats(0, 1))
    def report(self, claim: Job | None, fraction: float) -> None:
        """Progress of a run that is over changes nothing."""
        if claim is not None:
            self.owners[0].report(claim, fraction, None)
            self.note(claim.id)

    @rule(job_id=jobs)
    def cancel(self, job_id: JobId) -> None:
        if self.seen[job_id].state in {State.QUEUED, State.RUNNING}:
            job = self.owners[1].cancel(job_id)
            assert job.state in {State.CANCELLED, State.RUNNING}
        else:
            with pytest.raises(Conflict):
                self.owners[1].cancel(job_id)
        self.note(job_id)

    @rule(job_id=jobs)
    def recover(self, job_id: JobId) -> None:
        """Once a heartbeat is old, of two that see it one ends the run."""
        running = self.seen[job_id].state == State.RUNNING
        if running:
            self._grow_old(job_id)
        ended = [found for _ in range(8) for one in self.owners for found in one.recover()]
        assert [found for found, _ in ended] == [job_id] * running
        self.note(job_id, ended=ended[0][1] if running else None)

    def _grow_old(self, job_id: JobId) -> None:
        """Put a heartbeat back, and have both owners watch this one stand still for a while."""
        old = self.database.now() - timedelta(seconds=2 * LEASE)
        self.database["jobs"].update_one({"_id": job_id}, {"$set": {"_run.beat": old}})
        self.seen[job_id] = self.owners[0].jobs.get(job_id)
        for owner in self.owners:
            found = [self.seen[job_id]]
            for looks in range(8, 0, -1):
                ago = timedelta(seconds=looks * LEASE / 6)
                owner._leases.expired(found, self.database.now() - ago)

    @invariant()
    def both_see_the_same(self) -> None:
        for job_id, job in getattr(self, "seen", {}).items():
            assert self.owners[1].jobs.get(job_id) == job

    def teardown(self) -> None:
        self.database["jobs"].delete_many({})


@pytest.mark.hypothesis
def test_jobs_go_along_the_table_only(database: Database) -> None:
    class OnDatabase(Life):
        pass

    OnDatabase.database = database
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    few = settings(
        max_examples=fuzzed(12),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=checks,
    )
    run_state_machine_as_test(OnDatabase, settings=few)


@pytest.fixture
def answers_get_lost(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Execute each request, and repeat it as if its answer had not arrived."""
    once = database.call

    def twice(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        once(operation, *args, **kwargs)
        return once(operation, *args, **kwargs)

    monkeypatch.setattr(database, "call", twice)


@pytest.mark.usefixtures("answers_get_lost")
def test_what_is_tried_again_is_done_once(database: Database) -> None:
    runs = JobLifecycle(database, "mine", LEASE)
    first, second, third = (runs.jobs.create({"retries": 1}) for _ in range(3))
    for job in (first, second, third):
        assert runs.enqueue(job, SUBMITTED)
    running = runs.claims.claim(first.id)
    following = runs.claims.prepare(second.id)
    cancelled = runs.claims.prepare(third.id)
    assert running is not None
    assert following is not None
    assert cancelled is not None
    assert runs.finish(running, Outcome(State.FINISHED, 42), following) is State.FINISHED
    assert following.made
    assert runs.cancel(third.id).state == State.CANCELLED
    assert runs.finish(following.job, Outcome(State.FINISHED, 43), cancelled) is State.FINISHED
    assert not cancelled.made
    jobs = [runs.jobs.get(job.id) for job in (first, second, third)]
    assert [job.result for job in jobs] == [42, 43, None]
    assert [job.run.attempt for job in jobs] == [1, 1, 0]
    assert [len(job.document.get("attempts", [])) for job in jobs] == [1, 1, 0]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_claim_that_the_database_left_open_is_made_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, arrived: bool
) -> None:
    runs = JobLifecycle(database, "mine", LEASE)
    job = runs.jobs.create({})
    assert runs.enqueue(job, SUBMITTED)
    call = database.call

    def cut_off(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if operation.__name__ == "update_one":
            if arrived:
                call(operation, *args, **kwargs)
            raise StoreUnavailable("The database went away.", retry_after=1)
        return call(operation, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(database, "call", cut_off)
        with pytest.raises(StoreUnavailable):
            runs.claims.claim(job.id)
    assert runs.claims.unsure == [job.id]
    claimed = runs.claims.claim(job.id)
    assert claimed is not None
    assert claimed.run.attempt == runs.jobs.get(job.id).run.attempt == 1
    assert runs.claims.unsure == []
    assert runs.claims.claim(job.id) is None


def test_a_job_that_goes_on_while_it_is_cancelled_is_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claimed, interrupted and queued again between what a cancel saw and what it does."""
    runs = JobLifecycle(database, "mine", LEASE)
    job = runs.jobs.create({"retries": 3})
    assert runs.enqueue(job, SUBMITTED)
    change, steps = runs.jobs.change, iter(("claim", "end", "claim"))

    def late(*args: Any, **kwargs: Any) -> bool:
        match next(steps, None):
            case "claim":
                assert runs.claims.claim(job.id)
            case "end":
                assert runs.finish(runs.jobs.get(job.id), interrupted("on purpose"))
        return change(*args, **kwargs)

    monkeypatch.setattr(runs.jobs, "change", late)
    assert runs.cancel(job.id).run.cancel
