"""Writing JSON: every leaf as a string, or native; always strict."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Regex
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.encoding import dumps, read_object, stringify
from jobserver.encoding.json_writer import native
from tests.support.strategies import documents, names, nested, scalars

MOMENT = datetime(2018, 9, 5, 17, 24, 22, 607225)
ID = ObjectId("5b9011469eb82b0d84ca212f")
BERLIN = timezone(timedelta(hours=2))


def strict(text: bytes) -> Any:
    """Parse JSON that has no NaN, no duplicate keys and no broken text."""

    def constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a key is written twice"
        return dict(pairs)

    return json.loads(text.decode(), parse_constant=constant, object_pairs_hook=distinct)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (42, "42"),
        (Int64(42), "42"),
        (12000.0, "12000.0"),
        (40.10492551050158, "40.10492551050158"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**70, str(2**70)),
        ("x", "x"),
        ([], "[]"),
        ([1, 2], "[1, 2]"),
        ((1, None), "(1, None)"),
        (["a", 1.5, None, math.nan], "['a', 1.5, None, nan]"),
        (MOMENT, "2018-09-05 17:24:22.607225"),
        (MOMENT.replace(microsecond=0), "2018-09-05 17:24:22.000000"),
        (MOMENT.replace(tzinfo=BERLIN), "2018-09-05 15:24:22.607225"),
        (ID, "5b9011469eb82b0d84ca212f"),
        (b"\x00\xff", "AP8="),
        (Decimal128("1.10"), "1.10"),
        ([{"a": 1, "t": MOMENT}], "[{'a': 1, 't': '2018-09-05 17:24:22.607225'}]"),
        ([[ID], b"a", Int64(3)], "[['5b9011469eb82b0d84ca212f'], 'YQ==', 3]"),
        ({}, {}),
        ({"a": {"b": [None]}, "c": {}}, {"a": {"b": "[None]"}, "c": {}}),
        (bson.SON([("b", 1), ("a", 2)]), {"b": "1", "a": "2"}),
    ],
)
def test_every_leaf_is_a_string_as_the_documentation_prints_it(value: Any, text: Any) -> None:
    assert stringify(value) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        ([math.inf, 1.0], [None, 1.0]),
        (MOMENT, "2018-09-05T17:24:22.607225Z"),
        (MOMENT.replace(microsecond=607000), "2018-09-05T17:24:22.607Z"),
        (MOMENT.replace(microsecond=0, tzinfo=UTC), "2018-09-05T17:24:22.000Z"),
        (MOMENT.replace(tzinfo=BERLIN), "2018-09-05T15:24:22.607225Z"),
        (ID, "5b9011469eb82b0d84ca212f"),
        (b"\x00\xff", "AP8="),
        (bson.Binary(b"a", 5), "YQ=="),
        (Int64(2**62), 2**62),
        (2**70, 2**70),
        (Decimal128("1.10"), "1.10"),
        (Decimal("1.10"), "1.10"),
        (Regex("a+"), str(Regex("a+"))),
        ((1, {2}), [1, [2]]),
        ({5: 1, None: 2}, {"5": 1, "None": 2}),
        ({"a": [None, True, "x", 1.5]}, {"a": [None, True, "x", 1.5]}),
    ],
)
def test_native_json_has_only_what_json_has(value: Any, expected: Any) -> None:
    assert native(value) == expected
    assert strict(dumps(value)) == expected


def test_keys_keep_their_order_and_text_its_characters() -> None:
    assert dumps({"b": "ü", "a": "😀"}) == '{"b":"ü","a":"😀"}'.encode()
    assert dumps({"b": 2**70, "a": "ü"}) == f'{{"b":{2**70},"a":"ü"}}'.encode()


def test_half_surrogates_do_not_get_out() -> None:
    assert strict(dumps({"a": "\ud800", "\udfff": 1})) == {"a": "?", "\\udfff": 1}
    assert strict(dumps({"a": "\ud800"}, strings=True)) == {"a": "?"}


bson_leaves = (
    scalars
    | st.floats()
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.builds(ObjectId, st.binary(min_size=12, max_size=12))
    | st.integers()
)
stored_documents = st.dictionaries(names, nested(bson_leaves, names), max_size=6)


def shape(value: Any) -> Any:
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else None


@settings(deadline=None)
@given(stored_documents)
def test_any_document_is_strict_json_in_both_forms(document: dict[str, Any]) -> None:
    assert strict(dumps(document)) == native(document)
    texts = stringify(document)
    assert strict(dumps(document, strings=True)) == texts
    assert shape(texts) == shape(document)
    assert stringify(texts) == texts


@settings(deadline=None)
@given(documents())
def test_what_a_client_sends_comes_back(value: dict[str, Any]) -> None:
    stored = bson.decode(bson.encode(read_object(json.dumps(value).encode())))
    assert stored == value
    assert read_object(dumps(stored)) == value


def test_a_job_is_written_in_microseconds() -> None:
    job = {"_id": ID, "result": {"value": dict.fromkeys("abcdefgh", 40.1)}, "data": {"name": "x"}}
    job |= dict.fromkeys(("created", "started", "finished", "edited"), MOMENT)
    job |= dict.fromkeys(("error", "message"), None) | {"script": {"args": [], "kwargs": {}}}
    job |= {"script_name": "summary", "datafile": "a.csv", "state": "finished", "time_sec": 1.08}
    for strings in (True, False):
        begin = time.process_time()
        for _ in range(1000):
            dumps(job, strings=strings)
        assert time.process_time() - begin < 0.1  # a busy machine; 0.01 on a quiet one


def test_the_package_is_imported_without_anything_heavy() -> None:
    heavy = {"numpy", "pandas", "matplotlib", "pydantic", "pymongo", "flask"}
    program = f"import sys, jobserver.encoding; print(*({heavy!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert run.stdout == b"\n"
