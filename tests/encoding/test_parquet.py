"""Tables as Parquet: what pandas reads back is what was in the table, or text that says it."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pyarrow import parquet as pq

from jobserver.encoding import encode_result, parquet, show_value
from jobserver.errors import UnsupportedType
from tests.encoding.test_tables import COLUMNS
from tests.support.strategies import fuzzed

CENTURY = timedelta(days=36_525)
TIME = datetime(2018, 9, 5, 17, 24, 22, 607000)


def written(value: Any) -> pa.Table:
    content = b"".join(show_value(encode_result(value).value, "parquet"))
    return pq.read_table(io.BytesIO(content))


def column(values: Any) -> pa.ChunkedArray:
    return written(pd.DataFrame({"x": values}))["x"]


SAME = ["int64", "uint64", "int8", "bool", "float64", "float32", "text", "datetime ns", "timedelta"]
SAME += ["zone", "offset", "empty", "Int64", "boolean", "Float64"]


@pytest.mark.parametrize("name", SAME)
def test_columns_keep_their_dtype(name: str) -> None:
    frame = COLUMNS[name].to_frame("x")
    nullable = {
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
        pa.float64(): pd.Float64Dtype(),
    }
    mapper = nullable.get if frame["x"].dtype in nullable.values() else None
    found = written(frame).to_pandas(types_mapper=mapper)
    assert_frame_equal(found, frame, check_exact=True)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array(["2018-09-05", "NaT"], "M8[s]"), "timestamp[ms]", [datetime(2018, 9, 5), None]),
        (
            COLUMNS["categories"],
            "dictionary<values=string, indices=int32, ordered=0>",
            ["a", None, "b"],
        ),
        (
            pd.Series([None], dtype=pd.CategoricalDtype([])),
            "dictionary<values=string, indices=int32, ordered=0>",
            [None],
        ),
        (COLUMNS["ordered"], "int64", [1, 3, 1]),
        (COLUMNS["complex"], "string", ["(1+2j)", "(nan+infj)", "(-0-0j)"]),
        (COLUMNS["period"], "string", ["2018-01", None, "2019-12"]),
        (COLUMNS["interval"], "string", ["[0,1]", "[1,2]", "[2,3]"]),
        (pd.Series([1, "a", None, [2.5]], dtype=object), "string", ["1", "a", None, "[2.5]"]),
        (pd.Series([1, 2.5], dtype=object), "string", ["1", "2.5"]),
        (pd.Series([True, None], dtype=object), "bool", [True, None]),
        (pd.Series([True, 1], dtype=object), "string", ["True", "1"]),
        (pd.Series([2**62, None], dtype=object), "int64", [2**62, None]),
        (pd.Series([2**64, 1], dtype=object), "string", [str(2**64), "1"]),
        (pd.Series([0.5, None], dtype=object), "double", [0.5, None]),
        (pd.Series([b"a", None], dtype=object), "binary", [b"a", None]),
        (pd.Series([None, None], dtype=object), "string", [None, None]),
        (
            pd.Series([TIME, TIME.replace(microsecond=7)], dtype=object),
            "timestamp[us, tz=UTC]",
            [TIME.replace(tzinfo=UTC), TIME.replace(microsecond=7, tzinfo=UTC)],
        ),
        (np.array([1.5, np.nan], "f2"), "float", [1.5, None]),
        (np.array(["2018-09-05T17"], "M8[s]"), "timestamp[ms]", [datetime(2018, 9, 5, 17)]),
        (["=1+1", "\0"], "string", ["=1+1", "\0"]),
    ],
)
def test_every_value_is_exact_or_text(values: Any, kind: str, expected: list[Any]) -> None:
    found = column(values)
    assert str(found.type) == kind
    assert found.to_pylist() == expected


@pytest.mark.parametrize("unit", ["D", "h", "m", "W", "15m", "M", "Y", "ps"])
def test_arrays_of_times_in_any_unit(unit: str) -> None:
    times = np.array([5, "NaT"], f"M8[{unit}]")
    spans = np.array([5, "NaT"], f"m8[{unit}]")
    exact = unit in "DhmW"
    for array, kind in ((times, "timestamp[ms]"), (spans, "duration[s]")):
        found = written(array)["0"]
        assert str(found.type) == (kind if exact else "string")
        assert found.null_count == 1
        if exact:
            assert found.to_pandas()[0] == pd.Series(array)[0]


def test_labels_come_first_and_every_name_is_used_once() -> None:
    levels = pd.MultiIndex.from_tuples([("a", TIME), ("b", TIME)], names=["p", None])
    frame = pd.DataFrame([[1, 2], [3, 4]], levels, ["x", "x"])
    table = written(frame)
    assert table.column_names == ["p", "level_1", "x", "x (2)"]
    assert table["level_1"].to_pylist() == [TIME, TIME]
    assert [table.column(n).to_pylist() for n in (0, 2, 3)] == [["a", "b"], [1, 3], [2, 4]]
    frame.columns = pd.MultiIndex.from_tuples([("x", 1), ("x", 2)])
    assert written(frame).column_names[2:] == ["('x', 1)", "('x', 2)"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), {"0": [1, 3], "1": [2, 4]}),
        (np.array([["a", None], [1, 2]], object), {"0": ["a", "1"], "1": [None, "2"]}),
        (np.zeros((0, 2)), {"0": [], "1": []}),
        (pd.Series([1], name="v", index=["a"]), {"index": ["a"], "v": [1]}),
        (pd.Series([1]), {"value": [1]}),
        (pd.Index(["a"], name="n"), {"n": ["a"]}),
        ({"v": {"count": 2.0, "mean": None}}, {"index": ["count", "mean"], "v": [2.0, None]}),
        (pd.DataFrame({"a": pd.Series([], dtype="int8")}), {"a": []}),
    ],
)
def test_whatever_is_a_table_can_be_parquet(value: Any, expected: Any) -> None:
    assert written(value).to_pydict() == expected


def test_rows_are_written_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_GROUP", 100_000)
    frame = pd.DataFrame({"a": np.arange(300_000), "b": pd.Categorical(["x", "y"] * 150_000)})
    content = b"".join(show_value(encode_result(frame).value, "parquet"))
    assert pq.ParquetFile(io.BytesIO(content)).num_row_groups > 4
    assert_frame_equal(pd.read_parquet(io.BytesIO(content)), frame)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (COLUMNS["far datetime"].to_frame(), "cannot hold this table .*20180-01-01.* Ask for csv"),
        (np.zeros((1, 1, 1)), "3 dimensions"),
    ],
)
def test_what_parquet_cannot_hold_is_refused(value: Any, words: str) -> None:
    with pytest.raises(UnsupportedType, match=words):
        written(value)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedType, match=r"pip install 'jobserver-rest\[files\]'"):
        b"".join(show_value(encode_result(np.zeros(2)).value, "parquet"))


@settings(deadline=None, max_examples=fuzzed(50))
@given(
    st.tuples(
        st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9),
        st.lists(st.floats(), max_size=9),
        st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=9),
        st.lists(st.datetimes(), max_size=9),
        st.lists(st.timedeltas(-CENTURY, CENTURY), max_size=9),
    )
)
def test_parquet_read_back_is_equal(lists: tuple[list[Any], ...]) -> None:
    dtypes = ("int64", "float64", "str", "M8[us]", "m8[us]")
    for values, dtype in zip(lists, dtypes, strict=True):
        labels = pd.Index([n + 1 for n in range(len(values))], dtype="int64", name="n")
        frame = pd.DataFrame({"x": pd.Series(values, labels, dtype=dtype)})
        found = written(frame).to_pandas().set_index("n")
        assert_frame_equal(found, frame, check_exact=True)
