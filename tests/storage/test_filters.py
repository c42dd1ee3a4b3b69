from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import BadRequest
from jobserver.storage import filters
from jobserver.storage.filters import compile_filter
from tests.support.strategies import json_values, names, scalars, wild_json, wild_names

JUNCTIONS = ("$and", "$or", "$nor")
EQUALS = ("$eq", "$ne")
RANGES = ("$gt", "$gte", "$lt", "$lte")
LISTS = ("$in", "$nin", "$all")
OPERATORS = (*EQUALS, *RANGES, *LISTS, "$exists", "$size", "$not")
FOREIGN = ("$where", "$expr", "$regex", "$elemMatch", "$function", "$jsonSchema", "$text", "$")
TIMES = ("created", "started", "finished", "edited", "attempts.finished", "steps.started")
HEX = "5b9011469eb82b0d84ca212f"
STAMP = datetime(2018, 9, 5, 17, 24, 22, 607000)  # naive UTC, as stored


def problems(body: Any, **hidden: Any) -> dict[str, str]:
    with pytest.raises(BadRequest) as caught:
        compile_filter(body, **hidden)
    assert caught.value.message
    return {problem.field: problem.problem for problem in caught.value.errors}


def containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def nested_filter(levels: int, name: str = "$or") -> dict[str, Any]:
    """Return a filter of so many levels, the outermost counted."""
    body: dict[str, Any] = {"foo": 1}
    for _ in range(levels - 1):
        body = {name: [body]}
    return body


def nested_list(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


# Filters made by the grammar, kept inside the limits.

fields = st.sampled_from(("foo", "state", "a key.0", "result.value.25%")) | names.filter(
    lambda name: all(part and part[0] != "$" for part in name.split(".")) and name[0] != "_"
).filter(lambda name: name not in TIMES)
values = json_values().filter(lambda value: sum(map(len, containers(value))) <= 20)
operators = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(EQUALS, values),
        **dict.fromkeys(RANGES, scalars),
        **dict.fromkeys(LISTS, st.lists(scalars, max_size=5)),
        "$exists": st.booleans(),
        "$size": st.integers(0, 2**31 - 1),
    },
).filter(bool)
negations = operators | operators.map(lambda inner: {"$not": inner})
conditions = st.dictionaries(fields, values | negations, min_size=1, max_size=2)
good_filters = conditions | st.dictionaries(
    st.sampled_from(JUNCTIONS), st.lists(conditions, min_size=1, max_size=2), max_size=1
)

# Anything at all, but more often than not close to a filter.

near_names = st.sampled_from((*JUNCTIONS, *OPERATORS, *FOREIGN, *TIMES, "_id", "_run.x", "foo"))
near_filters = st.recursive(
    wild_json() | st.sampled_from((HEX, "2018-09-05", "0001-01-01T00:00:00+01:00")),
    lambda inner: (
        st.dictionaries(near_names | wild_names, inner, max_size=4) | st.lists(inner, max_size=4)
    ),
    max_leaves=15,
)
near_objects = st.dictionaries(near_names | wild_names, near_filters, max_size=4)


def outcome(body: Any) -> dict[str, Any] | BadRequest:
    try:
        return compile_filter(body)
    except BadRequest as refusal:
        return refusal


@given(near_filters)
def test_any_json_is_compiled_or_refused(body: Any) -> None:
    came = outcome(body)
    if isinstance(came, BadRequest):
        assert len(came.errors) <= filters.MAX_PROBLEMS
        assert all((told.field + told.problem).encode() for told in came.errors)
    else:
        assert bson.encode(came)


@given(near_objects)
def test_no_operator_outside_the_list_gets_through(body: dict[str, Any]) -> None:
    came = outcome(body)
    keys = {key for one in containers(came) if isinstance(one, dict) for key in one}
    assert {key for key in keys if key.startswith("$")} <= {*JUNCTIONS, *OPERATORS}


@given(good_filters)
def test_a_filter_of_the_grammar_is_kept(body: dict[str, Any]) -> None:
    assert compile_filter(body) == body


@given(good_filters)
def test_the_query_is_a_copy(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    query = compile_filter(body)
    assert body == before
    assert not {id(one) for one in containers(body)} & {id(one) for one in containers(query)}


def test_no_filter_is_every_job() -> None:
    assert compile_filter({}) == {}


@pytest.mark.parametrize("body", [[], [{"foo": 1}], "foo", 3, True, None])
def test_a_filter_is_an_object(body: Any) -> None:
    with pytest.raises(BadRequest, match="must be an object"):
        compile_filter(body)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"?": 1}', "?"),
        ('{"?": {"foo": 1}}', "?"),
        ('{"?": [{"foo": 1}]}', "?"),
        ('{"foo": {"?": 1}}', "foo.?"),
        ('{"foo": {"$gt": 1, "?": 1}}', "foo.?"),
        ('{"foo": {"$not": {"?": 1}}}', "foo.$not.?"),
        ('{"$or": [{"foo": 1}, {"?": 1}]}', "$or.1.?"),
        ('{"foo": {"$eq": {"?": 1}}}', "foo.$eq.?"),
        ('{"foo": {"bar": {"?": 1}}}', "foo.bar.?"),
        ('{"foo": [{"?": 1}]}', "foo.0.?"),
        ('{"foo": {"$in": [1, {"?": 1}]}}', "foo.$in.1.?"),
        ('{"foo": {"$all": [{"?": 1}]}}', "foo.$all.0.?"),
    ],
)
def test_a_foreign_operator_is_named_with_its_place(name: str, body: str, place: str) -> None:
    assert list(problems(json.loads(body.replace("?", name)))) == [place.replace("?", name)]


def test_a_refusal_says_what_is_allowed() -> None:
    told = problems({"$where": "1", "foo": {"$regex": "x"}})
    assert all(name in told["$where"] for name in JUNCTIONS)
    assert all(name in told["foo.$regex"] for name in OPERATORS)


def test_every_problem_is_told_at_once() -> None:
    told = problems(
        {
            "created": "yesterday",
            "$or": [{"foo": {"$gt": [1]}}, {"bar": {"$size": -1, "$exists": 1}}, 5],
            "": 1,
            "_run.owner": "me",
            "edited": {"$in": ["2018-09-05", "now", "then"]},
        }
    )
    assert set(told) == {
        *("created", "$or.0.foo.$gt", "$or.1.bar.$size", "$or.1.bar.$exists", "$or.2", ""),
        *("_run.owner", "edited.$in.1", "edited.$in.2"),
    }


def test_operators_and_plain_names_do_not_mix() -> None:
    assert list(problems({"foo": {"$gt": 1, "bar": 2}})) == ["foo.bar"]
    assert list(problems({"foo": {"$not": {"bar": 2, "$gt": 1}}})) == ["foo.$not.bar"]


@pytest.mark.parametrize(
    "field",
    ["foo", "result.value.25%", "a key with spaces", "list.0.name", "ä.ö", "a$", "_idx", "_runner"],
)
def test_field(field: str) -> None:
    assert compile_filter({field: 1}) == {field: 1}


@pytest.mark.parametrize("field", ["f" * 256, "f." * 127 + "ff"])
def test_length_of_a_field(field: str) -> None:
    assert compile_filter({field: 1}) == {field: 1}
    assert len(problems({field + "f": 1})) == 1


@pytest.mark.parametrize(
    "field", ["", ".", "a.", ".a", "a..b", "a.$b", "a.$", "a\0", "a.b\0c", "\ud800", "a.\udfff"]
)
def test_no_field(field: str) -> None:
    (told,) = problems({field: 1}).items()
    assert "".join(told).encode()


def test_a_long_name_is_not_sent_back() -> None:
    (place,) = problems({"f" * 10_000: 1})
    assert len(place) == filters.MAX_PATH


@pytest.mark.parametrize("field", ["_run", "_run.owner", "_run.0"])
def test_the_servers_own_part_is_hidden(field: str) -> None:
    assert list(problems({field: 1})) == [field]
    assert list(problems({"$nor": [{field: {"$exists": True}}]})) == [f"$nor.0.{field}"]
    assert compile_filter({field: 1}, hidden=()) == {field: 1}
    assert list(problems({"owner.name": 1}, hidden={"owner"})) == ["owner.name"]


# Ids


@pytest.mark.parametrize("text", [HEX, HEX.upper()])
def test_24_hex_digits_are_an_object_id(text: str) -> None:
    known = ObjectId(HEX)
    assert compile_filter({"_id": text}) == {"_id": known}
    for name in (*EQUALS, *RANGES):
        assert compile_filter({"_id": {name: text}}) == {"_id": {name: known}}
    for name in LISTS:
        assert compile_filter({"_id": {name: [text, "a"]}}) == {"_id": {name: [known, "a"]}}
    assert compile_filter({"_id": {"$not": {"$gt": text}}}) == {"_id": {"$not": {"$gt": known}}}


@pytest.mark.parametrize(
    "text", ["dk4me73jw6r", HEX[1:], HEX + "0", HEX + "\n", "None", "", "5b 90 11 46 9e b8 2b", 42]
)
def test_any_other_id_stays(text: Any) -> None:
    assert compile_filter({"_id": text}) == {"_id": text}


@pytest.mark.parametrize("field", ["foo", "data._id", "_id.foo", "data.id"])
def test_hex_digits_elsewhere_are_text(field: str) -> None:
    assert compile_filter({field: HEX}) == {field: HEX}


# Times


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2018-09-05 17:24:22.607225", STAMP),
        ("2018-09-05 17:24:22.607000", STAMP),
        ("2018-09-05T17:24:22.607225Z", STAMP),
        ("2018-09-05t17:24:22.6079999999z", STAMP),
        ("2018-09-05T19:24:22.607+02:00", STAMP),
        ("2018-09-05 11:54:22.607-05:30", STAMP),
        ("2018-09-05 17:24:22.6", STAMP.replace(microsecond=600000)),
        ("2018-09-05 17:24:22", STAMP.replace(microsecond=0)),
        ("2018-09-05", STAMP.replace(hour=0, minute=0, second=0, microsecond=0)),
        ("None", None),
        (None, None),
    ],
)
def test_time(field: str, text: str | None, time: datetime | None) -> None:
    assert compile_filter({field: text}) == {field: time}
    for name in (*EQUALS, *RANGES):
        assert compile_filter({field: {name: text}}) == {field: {name: time}}
    for name in LISTS:
        assert compile_filter({field: {name: [text]}}) == {field: {name: [time]}}


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),
    st.integers(-23 * 60, 23 * 60),
)
def test_a_time_is_the_same_in_every_form(time: datetime, minutes: int) -> None:
    stored = time.replace(microsecond=time.microsecond // 1000 * 1000)
    elsewhere = time.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
    for text in (str(time), f"{time.isoformat()}Z", str(elsewhere), elsewhere.isoformat()):
        assert compile_filter({"created": text}) == {"created": stored}


NO_TIMES = {
    "words": ("", "now", "none", "null"),
    "parts": ("2018", "2018-09", "2018-09-05T", "2018-09-05 17:24", "24:00"),
    "forms": ("20180905", "2018-W36-3", "2018-09-05 17:24:22,6", "2018-09-05T17:24:22 Z"),
    "bounds": ("2018-13-01", "2018-02-30", "0000-01-01", "2018-09-05 25:00:00"),
    "offsets": ("2018-09-05 17:24:22+0200", "2018-09-05T17:24:22+24:00"),
    "overflow": ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"),
    "spaces": (" 2018-09-05", "2018-09-05\n"),
    "digits": ("201\u0668-09-05",),
    "others": (0, 1536168262.6, True, {"a": "2018"}, ["now"]),
}


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize("kind", NO_TIMES)
def test_no_time(field: str, kind: str) -> None:
    for value in NO_TIMES[kind]:
        for operand in (value, {"$ne": value}, {"$not": {"$in": [value]}}):
            (told,) = problems({field: operand}).values()
            assert "2018-09-05" in told


@pytest.mark.parametrize("field", ["foo", "result.created", "created.at"])
def test_times_elsewhere_are_text(field: str) -> None:
    assert compile_filter({field: "2018-09-05"}) == {field: "2018-09-05"}


def test_each_field_is_read_in_its_own_way() -> None:
    body = {"created": "2018-09-05", "foo": "2018-09-05", "_id": HEX, "bar": HEX}
    midnight = datetime(2018, 9, 5)
    assert compile_filter(body) == body | {"created": midnight, "_id": ObjectId(HEX)}


def test_exists_is_no_time_and_no_id() -> None:
    body = {"finished": {"$exists": False}, "_id": {"$exists": True}}
    assert compile_filter(body) == body


# Values


@pytest.mark.parametrize("value", [None, True, 0, -(2**63), 2**63 - 1, 1.5, "", "$5", "a\0b", "42"])
def test_scalar(value: Any) -> None:
    for operand in (value, {"$gte": value}, {"$in": [value]}, [value], {"a": value}):
        assert compile_filter({"foo": operand}) == {"foo": operand}


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 1 << 50_000, float("nan"), float("-inf"), "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_no_scalar(value: Any) -> None:
    for operand in (value, {"$gte": value}, {"$in": [value]}, [value], {"a": value}):
        assert len(problems({"foo": operand})) == 1


def test_a_printed_number_is_not_guessed() -> None:
    assert compile_filter({"foo": "42", "state": "None"}) == {"foo": "42", "state": "None"}


@pytest.mark.parametrize("key", ["", "$", "$a", "a\0", "\ud800"])
def test_no_name_inside_a_value(key: str) -> None:
    assert len(problems({"foo": {"a": [{key: 1}]}})) == 1


def test_dots_inside_a_value_are_part_of_a_name() -> None:
    assert compile_filter({"foo": {"a.b": 1}}) == {"foo": {"a.b": 1}}


WRONG_OPERANDS: dict[str, tuple[Any, ...]] = {
    "$size": (-1, 2**31, 2.0, True, "1", None, [1]),
    "$exists": (0, 1, "true", None, [], {}),
    "$not": (1, None, "a", [], {}, {"a": 1}, [{"$gt": 1}]),
    **dict.fromkeys(LISTS, (1, "a", None, {}, {"0": 1})),
    **dict.fromkeys(RANGES, ([], [1], {}, {"a": 1})),
}


@pytest.mark.parametrize("name", WRONG_OPERANDS)
def test_wrong_operand(name: str) -> None:
    for operand in WRONG_OPERANDS[name]:
        assert list(problems({"foo": {name: operand}})) == [f"foo.{name}"]


@pytest.mark.parametrize("name", JUNCTIONS)
@pytest.mark.parametrize("value", [[], {}, {"foo": 1}, None, "foo", 1])
def test_junctions_take_a_list(name: str, value: Any) -> None:
    assert list(problems({name: value})) == [name]


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_need_a_field(name: str) -> None:
    assert list(problems({name: {"$gt": 1}})) == [name]


@pytest.mark.parametrize("name", JUNCTIONS)
def test_junctions_stay_outside_of_fields(name: str) -> None:
    assert list(problems({"foo": {name: [{"$gt": 1}]}})) == [f"foo.{name}"]


# Limits


@pytest.mark.parametrize("name", JUNCTIONS)
def test_depth(name: str) -> None:
    deepest = nested_filter(5, name)
    assert compile_filter(deepest) == deepest
    assert list(problems({name: [deepest]})) == [".".join([f"{name}.0"] * 4 + [name])]


def test_not_counts_as_depth() -> None:
    operand: dict[str, Any] = {"$gt": 1}
    for _ in range(4):
        operand = {"$not": operand}
    assert compile_filter({"foo": operand}) == {"foo": operand}
    assert "deep" in problems({"foo": {"$not": operand}})["foo" + ".$not" * 5]
    assert "deep" in problems({"$and": [{"foo": operand}]})["$and.0.foo" + ".$not" * 4]


def made_of_clauses(number: int) -> list[dict[str, Any]]:
    """Return filters of so many comparisons, written in different ways."""
    return [
        {f"f{i}": i for i in range(number)},
        {"$or": [{"foo": i} for i in range(number)]},
        {"$and": [{} for _ in range(number)]},
        {f"f{i}": {"$not": {"$gt": i}} for i in range(number)},
        {"$nor": [{"foo": {"$gt": i, "$lt": 1}} for i in range(number // 2)]}
        | {f"f{i}": i for i in range(number % 2)},
    ]


def test_clauses() -> None:
    for body in made_of_clauses(50):
        assert compile_filter(body) == body
    for body in made_of_clauses(51):
        assert [told for told in problems(body).values() if "too many" in told]


@pytest.mark.parametrize("name", LISTS)
def test_items_of_a_list(name: str) -> None:
    body = {"foo": {name: list(range(100))}, "bar": {name: list(range(100))}}
    assert compile_filter(body) == body
    assert list(problems({"foo": {name: list(range(101))}})) == [f"foo.{name}"]


def test_items_of_a_value() -> None:
    for value in (list(range(100)), {str(i): i for i in range(100)}, [[0] * 49, [0] * 49]):
        assert compile_filter({"foo": value}) == {"foo": value}
    for value in ([0] * 101, {str(i): i for i in range(101)}, [[0] * 49, [0] * 50]):
        assert len(problems({"foo": value})) == 1


def test_nesting_of_a_value() -> None:
    assert compile_filter({"foo": nested_list(32)}) == {"foo": nested_list(32)}
    assert len(problems({"foo": nested_list(33)})) == 1


def test_huge_depth_is_a_clean_refusal() -> None:
    assert len(problems(nested_filter(50_000))) == 1
    assert len(problems({"foo": nested_list(50_000)})) == 1
    operand: Any = 1
    for _ in range(50_000):
        operand = {"$not": operand}
    assert len(problems({"foo": operand})) == 1


@pytest.mark.parametrize("body", [{"$or": [1] * 10_000}, {f"${i}": i for i in range(10_000)}])
def test_problems_are_told_up_to_a_limit(body: dict[str, Any]) -> None:
    assert len(problems(body)) == filters.MAX_PROBLEMS
