"""The steps of a pipeline as they are recorded; a child's messages are not trusted."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.execution.run_output import ENDS, StepRecords
from jobserver.jobs.job import State
from jobserver.storage.clock import utcnow

NOW = datetime(2026, 1, 1)
STARTED = NOW.replace(tzinfo=UTC).timestamp() + 0.0005  # which is cut off


def begun(number: int, took: float | None = None) -> dict[str, Any]:
    return {"step": number, "name": f"s{number}", "started": STARTED, "took": took}


@given(st.integers(0, 4 * ENDS))
def test_both_ends_are_kept_and_no_more(count: int) -> None:
    steps = StepRecords()
    for number in range(1, count + 1):
        steps.take(begun(number, 0.5 if number > 1 else None))
    kept = [each["step"] for each in steps.listed()]
    expected = list(range(1, count + 1))
    assert kept == (expected if count <= 2 * ENDS else expected[:ENDS] + expected[-ENDS:])
    states = [each["state"] for each in steps.listed()]
    assert states == ["finished"] * (len(kept) - 1) + ["running"] * bool(kept)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_the_step_that_goes_on_ends_with_its_attempt(state: State) -> None:
    steps = StepRecords()
    steps.take(begun(1))
    steps.take(begun(2, 0.25))
    assert steps.running == "step 2 (s2)"
    first, second = steps.listed(state, NOW + timedelta(seconds=3))
    assert (first["state"], first["time_sec"]) == ("finished", 0.25)
    assert (second["state"], second["time_sec"]) == (state, 3.0)


@pytest.mark.parametrize("told", [1e300, -1.0, math.inf, math.nan])
def test_a_step_begins_when_it_is_told_if_its_own_time_cannot_be(told: float) -> None:
    steps = StepRecords()
    before = utcnow()
    steps.take({**begun(1), "started": told})
    assert before <= steps.listed()[0]["started"] <= utcnow()


ANY = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text() | st.lists(st.none())
NAMES = st.sampled_from(["step", "name", "started", "took", "other"])


@given(st.lists(st.dictionaries(NAMES, ANY | st.just(STARTED)), max_size=5))
def test_whatever_a_child_says_can_be_stored(messages: list[dict[str, Any]]) -> None:
    steps = StepRecords()
    for message in messages:
        steps.take(message)
    listed = steps.listed(State.FAILED, NOW)
    assert bson.decode(bson.encode({"steps": listed}))["steps"] == listed
    assert all(each["state"] in set(State) for each in listed)
