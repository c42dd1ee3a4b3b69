"""Reading the JSON of clients: strictly, quickly, and reporting what to fix."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.encoding import read_object
from jobserver.encoding.json_reader import MOST_CONTAINERS, MOST_PROBLEMS, MOST_VALUES
from jobserver.errors import BadRequest, TooLarge
from tests.support.strategies import documents, nested, scalars


def refused(body: bytes | str) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read_object(body if isinstance(body, bytes) else body.encode())
    return caught.value


def can_be_stored(value: Any, stored: bool, *, top: bool = True) -> bool:
    """Whether a value obeys the rules, restated without the reader."""
    if isinstance(value, dict):
        names = [name for name in value if stored]
        odd = any(name == "" or name[0] == "$" or "\0" in name for name in names)
        dots = top and any("." in name for name in names)
        inner = [*value, *value.values()]
        return not odd and not dots and all(can_be_stored(i, stored, top=False) for i in inner)
    if isinstance(value, list):
        return all(can_be_stored(item, stored, top=False) for item in value)
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or math.isfinite(value)


def problems(body: bytes | str) -> list[tuple[str, str]]:
    return [(problem.field, problem.problem) for problem in refused(body).errors]


@settings(deadline=None)
@given(documents(), st.booleans())
def test_what_can_be_stored_is_read_as_it_is(value: dict[str, Any], ascii_only: bool) -> None:
    read = read_object(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert read == value
    assert list(read) == list(value)


ODD_KEYS = st.sampled_from(["", "$a", "a\0b", "a.b", "\ud800", "a", "b", "é", "$"])
ODD_LEAVES = scalars | st.sampled_from(
    [2**63, -(2**63) - 1, 10**30, math.nan, math.inf, -math.inf, "\udfff", "1e999", "$x", ""]
)


@settings(deadline=None)
@given(
    st.dictionaries(ODD_KEYS, nested(ODD_LEAVES, ODD_KEYS), max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_exactly_what_can_be_stored_is_accepted(
    value: dict[str, Any], ascii_only: bool, stored: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    try:
        body = text.encode()
    except UnicodeEncodeError:
        assert "not UTF-8" in str(refused(text.encode("utf-8", "surrogatepass")))
        return
    if can_be_stored(value, stored):
        assert read_object(body, stored=stored) == value
    else:
        with pytest.raises(BadRequest) as caught:
            read_object(body, stored=stored)
        assert caught.value.errors


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ('{"a": NaN}', "a", "NaN"),
        ('{"a": {"b": [1, -Infinity]}}', "a.b.1", "-Infinity"),
        ('{"a": 1e999}', "a", "too large"),
        ('{"a": -1E+999}', "a", "too large"),
        ('{"a": ' + "9" * 400 + ".5}", "a", "too large"),
        ('{"a": 9223372036854775808}', "a", "beyond 64 bits"),
        ('{"a": -9223372036854775809}', "a", "beyond 64 bits"),
        ('{"a": ' + "9" * 10_000 + "}", "a", "beyond 64 bits"),
        ('{"a": 1, "a": 2}', "a", "twice"),
        ('{"a": [{"b": 1, "b": 1}]}', "a.0.b", "twice"),
        ('{"$set": 1}', "$set", "starts with $"),
        ('{"a": {"\\u0024b": 1}}', "a.$b", "starts with $"),
        ('{"a": {"": 1}}', 'a.""', "name it"),
        ('{"a": {"" \n : 1}}', 'a.""', "name it"),
        ('{"a\\u0000b": 1}', r"a\0b", "NUL"),
        ('{"a.b": 1}', "a.b", "dot"),
        ('{"a": "\\ud800"}', "a", "surrogate"),
        ('{"a": {"x\\uDFFF": 1}}', r"a.x\udfff", "surrogate"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_named(body: str, field: str, words: str) -> None:
    [(where, problem)] = problems(body)
    assert where == field
    assert words in problem
    assert f"{where} {problem}" in str(refused(body))


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 9223372036854775807, "b": -9223372036854775808}',
        '{"a": 1e308, "b": 0.0012345678901234567, "c": 1E-999, "d": "e0000000000000000000000"}',
        '{"a": {"b.c": 1, "d$": 2}, "b": "$x", "c": ""}',
        '{"a": "\\ud83d\\ude00 \\u0000 \\u0024"}',
        '\ufeff {"a": "[[[[{{{{"}\n',
    ],
)
def test_what_only_looks_odd_is_taken(body: str) -> None:
    assert read_object(body.encode()) == json.loads(body.removeprefix("\ufeff"))


def test_a_filter_may_have_names_that_are_not_stored() -> None:
    body = b'{"$or": [{"result.value": {"$gt": 1}}, {"": "\\u0000"}], "a.b": 2}'
    assert read_object(body, stored=False) == json.loads(body)
    with pytest.raises(BadRequest, match=r"a\.a\.b is NaN"):
        read_object(b'{"a": {"a.b": NaN}}', stored=False)


def test_several_problems_are_told_at_once_in_order() -> None:
    refusal = refused('{"$a": 1, "b": {"": NaN}, "c": [99999999999999999999], "b": 2}')
    assert [problem.field for problem in refusal.errors] == ["$a", 'b.""', 'b.""', "c.0", "b"]
    assert "see errors" in str(refusal)


def test_problems_and_names_are_told_up_to_a_limit() -> None:
    body = json.dumps({"$" + "x" * 1000: 1} | {f"${n}": 1 for n in range(1000)})
    refusal = refused(body)
    assert len(refusal.errors) == MOST_PROBLEMS
    assert len(str(refusal)) < 200


@pytest.mark.parametrize("body", ["[1, 2]", '"text"', "42", "null", "true"])
def test_only_an_object_is_a_body(body: str) -> None:
    assert "must be a JSON object" in str(refused(body))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"a": }', "line 1, column 7"),
        (b'{\n"a": 1,\n}', "line 3, column 1"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a": "\x01"}', "line 1, column 8"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"", "line 1, column 1"),
        (b'{"a": 01}', "line 1, column 8"),
        (b'{"$a": tru}', "line 1, column 8"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(body: bytes, place: str) -> None:
    assert str(refused(body)).startswith("The body is not valid JSON: ")
    assert place in str(refused(body))


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"a": 1,}', "Remove the comma before '}'"),
        (b'{"a": [1, 2 , ]}', "Remove the comma before ']'"),
        (b"{'a': 1}", "Use double quotes"),
    ],
)
def test_json_that_is_nearly_right_is_told_what_to_change(body: bytes, hint: str) -> None:
    text = str(refused(body))
    assert hint in text or "trailing comma" in text  # as Python 3.13 says itself


def test_what_is_not_utf8_is_refused_with_its_place() -> None:
    assert "byte 7 is 0xff" in str(refused(b'{"a": "\xff"}'))
    assert "not UTF-8" in str(refused('{"a": 1}'.encode("utf-16")))


def brackets(depth: int, opening: str = '{"a":', closing: str = "}") -> str:
    return opening * depth + "1" + closing * depth


def test_thirty_two_levels_are_taken_and_no_more() -> None:
    read_object(brackets(32).encode())
    read_object(
        ('{"a":' + brackets(31, "[", "]") + ',"b":' + brackets(31, "[", "]") + "}").encode()
    )
    assert "deeper than 32 levels" in str(refused(brackets(33)))
    assert "deeper than 32 levels" in str(refused('{"a":' + brackets(32, "[", "]") + "}"))
    assert read_object(brackets(3).encode(), max_depth=3) == {"a": {"a": {"a": 1}}}


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        brackets(100_000, "[", "]"),
        '{"a":"\\\\",' + '"b":[' * 100_000,
        '{"\\"":' + brackets(100_000, "[", "]") + "}",
        '{"a": 1}' + "[" * 100_000,
    ],
)
def test_brackets_without_end_are_refused_at_once(body: str) -> None:
    begin = time.process_time()
    assert "deeper than 32" in str(refused(body))
    assert time.process_time() - begin < 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["\\", '"', "[", "]", "a", "{", "}", "\n", "é"]), max_size=80))
def test_brackets_in_text_are_not_depth(parts: list[str]) -> None:
    value = {"".join(parts) + "x": "".join(parts), "b": ["".join(parts) * 5]}
    assert read_object(json.dumps(value).encode(), max_depth=2) == value


def items(item: bytes, count: int) -> bytes:
    """A body with so many items, and two more lists and objects."""
    return b'{"a":[' + b",".join([item] * count) + b"]}"


@pytest.mark.parametrize(("item", "most"), [(b"[]", MOST_CONTAINERS), (b"1", MOST_VALUES)])
def test_more_values_than_can_be_built_quickly_are_refused(item: bytes, most: int) -> None:
    read_object(items(item, most - 2))
    with pytest.raises(TooLarge, match="PUT /datafile"):
        read_object(items(item, most - 1))
    text = b'"%s"' % (b"[,{" * most)
    assert read_object(b'{"a":%s}' % text) == {"a": "[,{" * most}


@pytest.mark.parametrize("item", [b'{"a":1}', b"1", b'"ab"', b"[]", b"0.0012345678901234567"])
def test_bodies_with_many_values_are_read_quickly(item: bytes) -> None:
    most = MOST_CONTAINERS if item[0] in b"[{" else MOST_VALUES
    body = items(item, min(most - 2, 4 * 2**20 // (len(item) + 1)))
    begin = time.process_time()
    read_object(body)
    middle = time.process_time()
    json.loads(body)
    assert middle - begin < 20 * (time.process_time() - middle)  # 2 to 5 times, as measured
