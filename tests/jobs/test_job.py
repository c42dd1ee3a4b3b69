from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.errors import BadRequest, InvalidId
from jobserver.jobs.job import (
    ACTIVE,
    PRIVATE,
    SERVER_FIELDS,
    TERMINAL,
    TRANSITIONS,
    Job,
    State,
    private,
)
from jobserver.storage.clock import utcnow
from jobserver.storage.documents import check_fields, parse_id
from tests.support.strategies import documents, fuzzed


@given(st.from_regex("[0-9a-fA-F]{24}", fullmatch=True))
def test_24_hexadecimal_digits_are_an_object_id(text: str) -> None:
    assert parse_id(text) == ObjectId(text)


@given(st.from_regex("[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_other_ids_stay_as_they_are(text: str) -> None:
    found = parse_id(text)
    assert str(found) in (text, text.lower())
    assert isinstance(found, ObjectId) == ObjectId.is_valid(text)


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        found = parse_id(text)
    except InvalidId:
        return
    assert isinstance(found, ObjectId | str)
    assert text.isascii()
    assert text.replace("-", "_").isidentifier() or text[0].isdigit() or text[0] == "-"


@pytest.mark.parametrize("text", ["", "x" * 65, "a.b", "a b", "ä", "a\n", "$a", "0" * 24 + "\n"])
def test_bad_ids(text: str) -> None:
    with pytest.raises(InvalidId, match="PUT without an id"):
        parse_id(text)


@settings(max_examples=fuzzed(30))
@given(documents())
def test_a_new_document_keeps_the_fields(fields: dict[str, object]) -> None:
    job = Job.new(fields, "mine")
    assert job.document.items() >= fields.items()
    assert job.id == "mine"
    assert job.state == "created"
    assert job.started is job.finished is job.result is None


def test_new_documents_are_never_equal() -> None:
    first, second = Job.new({}, "mine"), Job.new({}, "mine")
    assert first.run != second.run
    assert isinstance(Job.new({}).id, ObjectId)


@pytest.mark.parametrize("name", sorted(SERVER_FIELDS))
def test_fields_of_the_server(name: str) -> None:
    with pytest.raises(BadRequest, match=name) as raised:
        Job.new({"a": 1, name: 2})
    assert [problem.field for problem in raised.value.errors] == [name]


def test_all_fields_of_the_server_are_named() -> None:
    with pytest.raises(BadRequest) as raised:
        check_fields(SERVER_FIELDS | {"a"}, SERVER_FIELDS)
    assert [problem.field for problem in raised.value.errors] == sorted(SERVER_FIELDS)


def test_what_a_run_adds_is_shown_in_the_same_order_whatever_the_database_made_of_it() -> None:
    head = ("_id", "state", "script_name", "datafile", "mine")
    tail = ("edited", "script", "data", "time_sec", "provenance")
    assert tuple(Job(dict.fromkeys((*head, *sorted(tail)), 1)).public()) == (*head, *tail)
    sent = ("_id", "script", "data", "mine")
    assert tuple(Job(dict.fromkeys((*sent, "time_sec", "edited"), 1)).public()) == (
        *sent,
        "edited",
        "time_sec",
    )


def test_nothing_private_is_public() -> None:
    assert PRIVATE not in Job.new({"a": 1}).public()
    result = Job({"_id": 1, "result": {r"\$c": [{r"\\": 1}]}}).public()["result"]
    assert result == {"$c": [{"\\": 1}]}
    assert Job({"_id": 1, "a": {r"\$c": 1}}).public() == {"_id": 1, "a": {r"\$c": 1}}


def test_a_field_that_was_not_loaded_is_not_taken_for_a_missing_one() -> None:
    assert Job({"_id": "mine"}).retries == 0
    part = Job({"_id": "mine"}, frozenset({"_id", "started"}))
    for name in ("retries", "owner", "state", "started", "run"):
        with pytest.raises(LookupError, match=r"not loaded\. Here: _id"):
            getattr(part, name)
    with pytest.raises(LookupError, match="lease"):
        _ = Job.new({}).run.lease  # only a running job has one


def test_an_update_gives_a_new_job_and_leaves_the_old_one() -> None:
    old = Job.new({"b": 1, "a": {"c": 1}})
    new = old.updated({**private(attempt=1, owner="me"), "state": State.QUEUED, "edited": None})
    assert (new.state, new.run.attempt, new.run.owner) == ("queued", 1, "me")
    assert new.run.key == old.run.key
    assert (old.state, old.run.attempt) == ("created", 0)
    assert [*new.document] == [*old.document, "edited"]


def test_the_time_is_utc_in_whole_milliseconds() -> None:
    now = utcnow()
    assert now.tzinfo is None
    assert now.microsecond % 1000 == 0
    assert timedelta() <= datetime.now(UTC).replace(tzinfo=None) - now < timedelta(seconds=5)


def test_every_state_can_be_reached_and_left_or_is_an_end() -> None:
    reached = {State.CREATED}
    while new := {following for state in reached for following in TRANSITIONS[state]} - reached:
        reached |= new
    assert reached == set(State) == TRANSITIONS.keys()
    assert {State.FINISHED, State.FAILED, State.CANCELLED} == TERMINAL
    assert not ACTIVE & TERMINAL
