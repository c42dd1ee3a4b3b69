"""Anything that a script returns can be stored, and says what could not be kept."""

from __future__ import annotations

import collections
import itertools
import json
import math
import re
import uuid
import weakref
from array import array
from collections import Counter, OrderedDict, UserDict, UserList, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any

import bson
import numpy as np
import pandas as pd
import pydantic
import pytest
from bson import Int64, ObjectId, Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.encoding import (
    decode_result,
    dumps,
    encode_result,
    encoded_size,
    is_table,
    restore_keys,
    stringify,
)
from jobserver.encoding.encoder import MAX_DEPTH, MOST_WARNINGS
from jobserver.encoding.json_writer import native
from jobserver.errors import JobserverError
from tests.support.strategies import nested, wild_json, wild_scalars

BERLIN = timezone(timedelta(hours=2))
Point = namedtuple("Point", ["x", "y"])


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Word(StrEnum):
    YES = "yes"


class Mixed(str, Enum):  # noqa: UP042  # its own str is not its text
    ONE = "one"


@dataclass
class Fit:
    slope: float
    labels: list[str] = field(default_factory=list)


class Model(pydantic.BaseModel):
    name: str
    inner: Fit


class Opaque:
    def __str__(self) -> str:
        return "opaque"


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class ChannelClosed(UserDict[str, int]):
    def items(self) -> Any:
        raise OSError("gone")


def stored(value: Any) -> Any:
    """What the database gives back, where nothing had to be warned of."""
    encoded = encode_result(value)
    assert encoded.warnings == ()
    return restore_keys(bson.decode(bson.encode({"r": encoded.value}))["r"])


@pytest.mark.parametrize(
    "value",
    [
        {"value": {"count": 12000.0, "mean": 40.10492551050158, "25%": 31.0}},
        42,
        -(2**63),
        2**63 - 1,
        1.5,
        math.inf,
        "text \u00fc \0",
        None,
        True,
        [],
        {},
        [1, "a", None, [2.5, {"b": [False]}]],
        {"b": 1, "a": 2, "": 3, "a.b": 4, "$c": {"$d\\": 5, "\0": 6}},
        datetime(2018, 9, 5, 17, 24, 22, 607000),
        b"\x00\xff",
        list(range(1000)),
        ["\u00fc", "a"],
    ],
)
def test_json_like_values_are_stored_as_they_are(value: Any) -> None:
    result = stored(value)
    assert result == value
    assert repr(result) == repr(value)


def test_nan_is_kept_as_a_number() -> None:
    assert math.isnan(stored({"a": [math.nan]})["a"][0])
    assert dumps(stored([math.nan, -math.inf])) == b"[null,null]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a", 1}), [1, "a", "b"]),
        (range(3), [0, 1, 2]),
        (deque([1, 2]), [1, 2]),
        (array("d", [1.0]), [1.0]),
        (UserList([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        ({"b": 1, "a": 2}.keys(), ["b", "a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.ChainMap({"a": 1}, {"b": 2}), {"b": 2, "a": 1}),
        (UserDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Point(1, {2}), {"x": 1, "y": [2]}),
        (Fit(1.5, ["a"]), {"slope": 1.5, "labels": ["a"]}),
        (Model(name="m", inner=Fit(2.0)), {"name": "m", "inner": {"slope": 2.0, "labels": []}}),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Word.YES, "yes"),
        (Mixed.ONE, "one"),
        ({Mixed.ONE: 1, Level.HIGH: 2}, {"one": 1, "3": 2}),
        (2**63, "9223372036854775808"),
        (-(10**20), "-100000000000000000000"),
        (Int64(5), 5),
        (Decimal("1.10"), "1.10"),
        (Fraction(1, 3), "1/3"),
        (1 + 2j, "(1+2j)"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (ObjectId("5b9011469eb82b0d84ca212f"), "5b9011469eb82b0d84ca212f"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"abcd")[::2], b"ac"),
        (date(2018, 9, 5), "2018-09-05"),
        (time(17, 24, tzinfo=UTC), "17:24:00+00:00"),
        (timedelta(minutes=1, microseconds=5), "PT1M0.000005S"),
        (datetime(2018, 9, 5, 17, tzinfo=BERLIN), datetime(2018, 9, 5, 15)),
        (datetime(2018, 9, 5, 17, 0, 0, 7, BERLIN), Timestamp(1_536_159_600, 7)),
        (np.datetime64("2018-09-05T15:00:00.000007"), Timestamp(1_536_159_600, 7)),
        (pd.Timestamp("2018-09-05T15:00:00.000007"), Timestamp(1_536_159_600, 7)),
        (datetime(1969, 12, 31, 23, 59, 59, 7), "1969-12-31T23:59:59.000007Z"),
        (datetime(2106, 2, 7, 6, 28, 15, 7), Timestamp(2**32 - 1, 7)),
        (datetime(2106, 2, 7, 6, 28, 16, 7), "2106-02-07T06:28:16.000007Z"),
        (datetime(1, 1, 1, tzinfo=BERLIN), "0001-01-01T00:00:00+02:00"),
        (np.int64(5), 5),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.bytes_(b"a"), b"a"),
        (np.complex128(1j), "1j"),
        (np.longdouble("0.1"), "0.1"),
        (np.datetime64("2018-09-05"), datetime(2018, 9, 5)),
        (np.datetime64("2018-09-05T00:00:00.000000001"), "2018-09-05T00:00:00.000000001Z"),
        (np.datetime64("20180-09-05"), "20180-09-05Z"),
        (np.datetime64("NaT"), None),
        (np.timedelta64(1500, "ms"), "PT1.5S"),
        (np.timedelta64(2, "M"), "P2M"),
        (np.timedelta64("NaT"), None),
        (np.array(5), 5),
        (np.ma.masked, None),
        (np.array([(1, "a")], dtype=[("n", "i8"), ("t", "U1")])[0], {"n": 1, "t": "a"}),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Timestamp("2018-09-05 17:00", tz="Europe/Berlin"), datetime(2018, 9, 5, 15)),
        (pd.Timestamp("2018-09-05 17:00:00.000000001+02:00"), "2018-09-05T15:00:00.000000001Z"),
        (pd.Timestamp(np.datetime64("20180-09-05", "s")), "20180-09-05T00:00:00Z"),
        (pd.Timedelta("1 min"), "PT1M"),
        (pd.Timedelta(-1, "ns"), "-PT0.000000001S"),
        (timedelta(days=1, hours=2), "P1DT2H"),
        (pd.Period("2018-09"), "2018-09"),
        (pd.Interval(0, 1), "(0, 1]"),
        (pd.offsets.Day(), "<Day>"),
    ],
)
def test_what_bson_lacks_becomes_the_nearest_thing(value: Any, expected: Any) -> None:
    result = stored(value)
    assert result == expected
    assert type(result) is type(expected)
    assert stored([value])[0] == expected


def test_numbers_of_any_length_are_kept_in_full() -> None:
    assert stored(10**5000) == "1" + "0" * 5000


def test_no_value_is_lost_whatever_its_key_is() -> None:
    value = {5: 1, "5": 2, None: 3, "a.b": 4, "$c": 5, (1, 2): 6, True: 7, "\\$c": 8, 1.5: 9}
    result = stored(value)
    assert list(result.values()) == list(value.values())
    assert result == {
        **{"5 (2)": 1, "5": 2, "None": 3, "a.b": 4, "$c": 5},
        **{"(1, 2)": 6, "True": 7, "\\$c": 8, "1.5": 9},
    }


@pytest.mark.parametrize(
    ("value", "text", "words"),
    [
        (Opaque(), "opaque", "Opaque cannot be stored as such"),
        (SimpleNamespace(a=1), "namespace(a=1)", "SimpleNamespace"),
        (Mute(), f"<{Mute.__module__}.Mute object>", "Mute cannot be stored as such"),
        (ChannelClosed(a=1), "{'a': 1}", "could not be read (OSError)"),
        (ValueError("x"), "x", "ValueError"),
        (int, "<class 'int'>", "type cannot be stored as such"),
        (Fit, str(Fit), "type cannot be stored as such"),
        (re.compile("a"), "re.compile('a')", "Pattern"),
        (itertools.count(), "count(0)", "can be read only once"),
        pytest.param(
            weakref.ref(Opaque), str(weakref.ref(Opaque)), "ReferenceType", id="a weak reference"
        ),
    ],
)
def test_any_other_object_is_kept_as_text_with_a_warning(value: Any, text: str, words: str) -> None:
    encoded = encode_result({"a": [1, value]})
    assert encoded.value == {"a": [1, text]}
    [warning] = encoded.warnings
    assert warning.startswith("result[a][1]: ")
    assert words in warning
    assert "return numbers, text, lists" in warning


def test_an_iterator_is_not_consumed() -> None:
    numbers = (n for n in range(3))
    encoded = encode_result(numbers)
    assert encoded.value.startswith("<generator object")
    assert len(encoded.warnings) == 1
    assert list(numbers) == [0, 1, 2]


def test_what_offers_an_array_is_kept_as_one_with_a_warning() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.array([1.0, 2.0])

    encoded = encode_result(Tensor())
    assert encoded.value["data"] == [1.0, 2.0]
    assert "kept as the array of its values" in encoded.warnings[0]


def test_broken_text_is_spelled_out() -> None:
    assert stored(["\ud800", {"\udfff": 1}]) == [r"\ud800", {r"\udfff": 1}]


def test_warnings_are_told_once_for_each_type_and_up_to_a_limit() -> None:
    assert len(encode_result([Opaque() for _ in range(1000)]).warnings) == 1
    kinds = [type(f"Kind{n}", (), {}) for n in range(2 * MOST_WARNINGS)]
    assert len(encode_result([kind() for kind in kinds]).warnings) == MOST_WARNINGS


def circle() -> Iterator[Any]:
    a: list[Any] = [1]
    a.append(a)
    yield a
    b: dict[str, Any] = {}
    b["b"] = {"c": (b,)}
    yield b
    fit = Fit(1.0)
    fit.labels = [fit]  # type: ignore[list-item]  # a circle has no type
    yield fit
    objects = pd.Series([None], dtype=object)
    objects[0] = objects
    yield objects
    array_of_itself = np.empty(1, dtype=object)
    array_of_itself[0] = array_of_itself
    yield array_of_itself


@pytest.mark.parametrize("value", list(circle()), ids=lambda value: type(value).__name__)
def test_a_circle_is_refused_with_a_reason(value: Any) -> None:
    with pytest.raises(JobserverError, match="contains itself"):
        encode_result(value)


def deep(levels: int, leaf: Any = 1) -> Any:
    for level in range(levels):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, dict | list) else 0


def test_depth_ends_before_the_databases_own_limit() -> None:
    assert depth(encode_result(deep(MAX_DEPTH)).value) == MAX_DEPTH
    for levels in (MAX_DEPTH + 1, 5000):
        with pytest.raises(JobserverError, match=f"deeper than the {MAX_DEPTH} levels"):
            encode_result(deep(levels))


CATEGORIES = pd.Series(pd.cut([1.0, 5.0], 2))


@pytest.mark.parametrize(
    "leaf",
    [CATEGORIES.to_frame(), pd.Series([[1, [2]]]), np.zeros([1] * 20), {"a": [CATEGORIES]}],
    ids=["frame", "objects", "array", "nested"],
)
def test_tables_count_for_the_depth(leaf: Any) -> None:
    deepest = 0
    for levels in range(MAX_DEPTH):
        try:
            encoded = encode_result(deep(levels, leaf))
        except JobserverError:
            break
        deepest = depth(encoded.value)
    assert MAX_DEPTH - 6 <= deepest <= MAX_DEPTH


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"a": 1}, "json"),
        (None, "json"),
        ("a", "text"),
        (b"a", "bytes"),
        (b"\x89PNG\r\n\x1a\n...", "png"),
        (pd.DataFrame({"a": [1]}), "dataframe"),
        (pd.Series([1]), "series"),
        (pd.Index([1]), "index"),
        (np.zeros(2), "ndarray"),
        ([np.zeros(2)], "json"),
    ],
)
def test_the_kind_names_what_is_stored(value: Any, kind: str) -> None:
    assert encode_result(value).kind == kind


def test_a_figure_becomes_a_png() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    encoded = encode_result(figure.Figure())
    assert encoded.kind == "png"
    assert encoded.warnings == ()
    assert encoded.value.endswith(b"IEND\xaeB`\x82")


def test_size_is_that_of_bson() -> None:
    value = encode_result({"a": [1, 2.5, "x"]}).value
    assert encoded_size(value) == len(bson.encode({"": value}))
    assert encoded_size(b"x" * 2**20) == 2**20 + 12


hashables = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
leaves = (
    wild_scalars
    | st.binary(max_size=5)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.HIGH, Mixed.ONE, pd.NaT, pd.NA, Opaque(), Mute(), Fit])
    | st.builds(np.float32, st.floats(width=32))
    | st.builds(np.int8, st.integers(-128, 127))
    | st.builds(iter, st.lists(st.integers()))
    | st.builds(np.array, st.lists(st.floats(), max_size=3))
    | st.builds(pd.Series, st.lists(st.text(max_size=3), max_size=3), dtype=st.just(object))
)
keys = hashables | st.tuples(hashables, hashables) | st.binary(max_size=3) | st.datetimes()
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(hashables, max_size=3)
        | st.frozensets(hashables, max_size=3)
        | st.builds(Point, inner, inner)
        | st.builds(Fit, inner, st.just([]))
        | st.builds(deque, st.lists(inner, max_size=2))
        | st.builds(
            lambda items: pd.DataFrame({0: pd.Series(items, dtype=object)}),
            st.lists(inner, max_size=2),
        )
    ),
    max_leaves=10,
)


def parts(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        yield from parts(inner) if isinstance(inner, dict | list) else [inner]


@settings(deadline=None)
@given(values)
def test_anything_can_be_stored_and_written(value: Any) -> None:
    encoded = encode_result(value).value
    back = bson.decode(bson.encode({"r": encoded}))["r"]
    assert repr(back) == repr(encoded)
    allowed = {dict, list, str, int, float, bool, type(None), datetime, Timestamp, bytes}
    assert allowed.issuperset(type(part) for part in parts([encoded]))
    assert all(
        not key.startswith("$") and "\0" not in key
        for part in parts([encoded])
        if isinstance(part, dict)
        for key in part
    )
    restored = restore_keys(back)
    assert dumps(restored) == dumps(native(restored))
    assert isinstance(stringify(restored), str | dict)


@settings(deadline=None)
@given(wild_json())
def test_json_keeps_its_shape_and_every_value(value: Any) -> None:
    def count(item: Any) -> int:
        inner = item.values() if isinstance(item, dict) else item
        return 1 + sum(map(count, inner)) if isinstance(item, dict | list) else 1

    result = stored(value)
    assert count(result) == count(value)
    assert not is_table(result)


@settings(deadline=None)
@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.timezones()))
def test_an_instant_stays_the_same_instant(moment: datetime) -> None:
    result = decode_result(stored(moment))
    if isinstance(result, str):
        result = datetime.fromisoformat(result)
    assert result.replace(tzinfo=UTC) == moment.astimezone(UTC)


FINE = datetime(2018, 9, 5, 17, 24, 22, 607225)


def test_microseconds_are_shown_as_documented() -> None:
    value = stored({"t": FINE, "l": [FINE, 1]})
    assert stringify(value) == {
        "t": "2018-09-05 17:24:22.607225",
        "l": "['2018-09-05 17:24:22.607225', 1]",
    }
    assert json.loads(dumps(value)) == {
        "t": "2018-09-05T17:24:22.607225Z",
        "l": ["2018-09-05T17:24:22.607225Z", 1],
    }


def test_microseconds_in_a_table_come_back() -> None:
    frame = pd.DataFrame({"a": pd.Series([FINE, "b"], dtype=object)}, index=[FINE, 2])
    back = decode_result(bson.decode(bson.encode({"r": encode_result(frame).value}))["r"])
    pd.testing.assert_frame_equal(back, frame)


@settings(deadline=None)
@given(nested(st.integers(-9, 9), st.text(max_size=3)))
def test_the_script_keeps_its_own_value(value: Any) -> None:
    before = repr(value)
    encoded = encode_result(value).value
    assert repr(value) == before
    assert encoded is not value or not isinstance(value, dict | list)
