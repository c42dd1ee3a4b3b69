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
    State,
    new_document,
    public,
)
from jobserver.storage.documents import check_fields, parse_id, utcnow
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
    document = new_document(fields, "mine")
    assert document.items() >= fields.items()
    assert document["_id"] == "mine"
    assert document["state"] == "created"
    assert document["started"] is document["finished"] is document["result"] is None


def test_new_documents_are_never_equal() -> None:
    first, second = new_document({}, "mine"), new_document({}, "mine")
    assert first[PRIVATE] != second[PRIVATE]
    assert isinstance(new_document({})["_id"], ObjectId)


@pytest.mark.parametrize("name", sorted(SERVER_FIELDS))
def test_fields_of_the_server(name: str) -> None:
    with pytest.raises(BadRequest, match=name) as raised:
        new_document({"a": 1, name: 2})
    assert [problem.field for problem in raised.value.errors] == [name]


def test_all_fields_of_the_server_are_named() -> None:
    with pytest.raises(BadRequest) as raised:
        check_fields(SERVER_FIELDS | {"a"}, SERVER_FIELDS)
    assert [problem.field for problem in raised.value.errors] == sorted(SERVER_FIELDS)


def test_what_a_run_adds_is_shown_in_the_same_order_whatever_the_database_made_of_it() -> None:
    head = ("_id", "state", "script_name", "datafile", "mine")
    tail = ("edited", "script", "data", "time_sec", "provenance")
    assert tuple(public(dict.fromkeys((*head, *sorted(tail)), 1))) == (*head, *tail)
    sent = ("_id", "script", "data", "mine")
    assert tuple(public(dict.fromkeys((*sent, "time_sec", "edited"), 1))) == (
        *sent,
        "edited",
        "time_sec",
    )


def test_nothing_private_is_public() -> None:
    assert PRIVATE not in public(new_document({"a": 1}))
    assert public({"_id": 1, "result": {r"\$c": [{r"\\": 1}]}})["result"] == {"$c": [{"\\": 1}]}
    assert public({"_id": 1, "a": {r"\$c": 1}}) == {"_id": 1, "a": {r"\$c": 1}}


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
