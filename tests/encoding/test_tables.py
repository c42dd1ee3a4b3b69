"""Tables and arrays: readable as JSON, and the same again when they are read back."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from decimal import Decimal
from typing import Any

import bson
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pandas.testing import assert_frame_equal, assert_index_equal, assert_series_equal

from jobserver.encoding import decode_table, dumps, encode_result, is_table, restore_keys
from jobserver.errors import BadRequest

BIG = 2**53 + 1
MOMENTS = ["2018-09-05 17:24:22.607225123", None, "1677-09-22"]
PLAIN_MOMENTS = np.array(["2018-01-01", "NaT", "1900-01-01"], dtype="M8[s]")


def stored(value: Any) -> Any:
    encoded = encode_result(value)
    assert encoded.warnings == ()
    return restore_keys(bson.decode(bson.encode({"r": encoded.value}))["r"])


def again(value: Any) -> Any:
    """A table stored and read back."""
    result = stored(value)
    assert is_table(result)
    json.loads(dumps(result))
    return decode_table(result)


def test_a_frame_is_stored_as_documented() -> None:
    days = pd.to_datetime(["2018-01-01", "2018-01-02"]).as_unit("us")
    frame = pd.DataFrame({"date": days, "value": [4.2, math.nan]})
    assert json.loads(dumps(stored(frame))) == {
        "type": "dataframe",
        "columns": ["date", "value"],
        "index": None,
        "data": {"date": ["2018-01-01T00:00:00", "2018-01-02T00:00:00"], "value": [4.2, None]},
        "dtypes": {
            "columns": str(frame.columns.dtype),
            "index": "int64",
            "data": ["datetime64[us]", "float64"],
        },
        "names": {"columns": None, "index": None},
    }


def test_a_series_is_stored_as_documented() -> None:
    series = pd.Series([1, 2], index=pd.Index([10, 20], name="n"), name="x")
    assert stored(series) == {
        "type": "series",
        "name": "x",
        "index": [10, 20],
        "data": [1, 2],
        "dtypes": {"index": "int64", "data": "int64"},
        "names": {"index": "n"},
    }


def test_an_array_is_stored_as_documented() -> None:
    assert stored(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])) == {
        "type": "ndarray",
        "dtype": "float64",
        "shape": [2, 3],
        "data": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
    }


COLUMNS: dict[str, Any] = {
    "int64": pd.Series([1, BIG, -(2**63)]),
    "uint64": pd.Series([1, 2**64 - 1, 0], dtype="uint64"),
    "int8": pd.Series([1, -128, 127], dtype="int8"),
    "bool": pd.Series([True, False, True]),
    "float64": pd.Series([0.1, math.nan, -math.inf]),
    "float32": pd.Series([0.1, math.nan, math.inf], dtype="float32"),
    "complex": pd.Series([1 + 2j, complex(math.nan, math.inf), -0.0j]),
    "text": pd.Series(["a", None, "\u00fc$\0"]),
    "string": pd.Series(["a", None, ""], dtype="string"),
    "object text": pd.Series(["a", None, "b"], dtype=object),
    "objects": pd.Series([1, "a", [2.5, {"$b": None}]], dtype=object),
    "datetime ns": pd.Series(MOMENTS, dtype="M8[ns]"),
    "datetime s": pd.Series(PLAIN_MOMENTS),
    "far datetime": pd.Series(np.array(["20180-01-01", "NaT", "0044-03-15"], dtype="M8[s]")),
    "zone": pd.Series(MOMENTS, dtype="M8[ns]").dt.tz_localize("Europe/Berlin"),
    "UTC": pd.Series(PLAIN_MOMENTS).dt.tz_localize("UTC"),
    "offset": pd.Series(pd.to_datetime(["2018-01-01T00:00:00+05:30"])),
    "timedelta": pd.Series(pd.to_timedelta([1, None, -(2**62)])),
    "categories": pd.Series(["a", None, "b"], dtype=pd.CategoricalDtype(["b", "a", "c"])),
    "ordered": pd.Series([1, 3, 1], dtype=pd.CategoricalDtype([3, 1], ordered=True)),
    "cut": pd.Series(pd.cut([1.0, 5.0, math.nan], 2)),
    "period": pd.Series(pd.PeriodIndex(["2018-01", None, "2019-12"], freq="M")),
    "weeks": pd.Series(pd.period_range("2018-01-01", periods=2, freq="W")),
    "interval": pd.Series(pd.interval_range(0, 3)),
    "interval gaps": pd.Series(
        [pd.Interval(0.0, 1.0, "left"), None], dtype="interval[float64, left]"
    ),
    "interval zone": pd.Series(pd.interval_range(pd.Timestamp("2018", tz="UTC"), periods=2)),
    "Int64": pd.Series([1, None, BIG], dtype="Int64"),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "Float64": pd.Series([0.1, None, -math.inf], dtype="Float64"),
    "empty": pd.Series([], dtype="float64"),
    "empty zone": pd.Series(pd.to_datetime([]).tz_localize("UTC")),
    "empty categories": pd.Series([], dtype=pd.CategoricalDtype(["a"])),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_every_dtype_comes_back(column: pd.Series) -> None:
    assert_series_equal(again(column), column, check_freq=False)
    frame = column.to_frame("x")
    assert_frame_equal(again(frame), frame, check_freq=False)
    assert_frame_equal(again(frame.iloc[:0]), frame.iloc[:0], check_freq=False)


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_every_dtype_can_be_an_index(column: pd.Series) -> None:
    if column.name == "objects" or any(isinstance(item, list) for item in column):
        column = column[:2]
    index = pd.Index(column, name="n")
    assert_index_equal(again(index), index)
    series = pd.Series(range(len(index)), index=index)
    assert_series_equal(again(series), series, check_freq=False)
    levels = pd.MultiIndex.from_arrays([index, range(len(index))], names=["a", None])
    assert_index_equal(again(levels), levels)


def test_sparse_columns_come_back_dense() -> None:
    sparse = pd.Series(pd.arrays.SparseArray([0.0, 0.0, 1.5]))
    assert_series_equal(again(sparse), pd.Series([0.0, 0.0, 1.5]))


def test_a_zone_without_a_name_keeps_the_instant() -> None:
    class Here(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=1)

        def dst(self, _: dt.datetime | None) -> None:
            return None

        def tzname(self, _: dt.datetime | None) -> str:
            return "here"

    moments = pd.Series([dt.datetime(2018, 1, 1, 12, tzinfo=dt.UTC)]).dt.tz_convert(Here())
    assert again(moments)[0] == moments[0]


LABELS: dict[str, list[Any]] = {
    "numbers": [5, 7],
    "mixed": [5, "5"],
    "duplicates": ["a", "a"],
    "odd": ["$a", "a.b"],
    "odd too": ["", "\\$a\0"],
    "none": [None, 1.5],
    "dates": list(pd.to_datetime(["2018-01-01", "2018-01-02"])),
    "tuples": [("a", 1), ("b", 2)],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_any_column_names_come_back(labels: list[Any]) -> None:
    frame = pd.DataFrame([[1, 2.5], [3, 4.5]], columns=labels)
    assert_frame_equal(again(frame), frame)
    assert_frame_equal(again(frame.T), frame.T)


def test_columns_are_found_by_their_text() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=[5, "5", "$a"])
    assert stored(frame)["data"] == {"5 (2)": [1], "5": [2], "$a": [3]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(index=["a", "b"]),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": [1, 2]}, index=[0, 0]),
        pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(2, name="n")),
        pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 1, -2)),
        pd.DataFrame({"a": ["x", "y", "x"], "b": [1, 1, 2], "c": [1.0, 2.0, 3.0]}).set_index(
            ["a", "b"]
        ),
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}).describe(include="all"),
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}).groupby("a").agg(["min", "max"]),
        pd.DataFrame({"a": [1]}).rename_axis(columns="c"),
    ],
    ids=lambda frame: f"{frame.shape[0]}x{frame.shape[1]}",
)
def test_any_shape_and_index_comes_back(frame: pd.DataFrame) -> None:
    assert_frame_equal(again(frame), frame, check_index_type="equiv")


@pytest.mark.parametrize("name", [None, "x", 5, ("a", 1)])
def test_any_name_comes_back(name: Any) -> None:
    assert_series_equal(again(pd.Series([1.0], name=name)), pd.Series([1.0], name=name))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0,)),
        np.zeros((2, 0, 3)),
        np.arange(24, dtype="int16").reshape(2, 3, 4),
        np.arange(6.0).reshape(2, 3).T,
        np.array([1 + 2j]),
        np.array(["a", "b\u00fc"]),
        np.array([b"a", b"\xff"]),
        np.array(["2018-01-01", "NaT"], dtype="M8[D]"),
        np.array([1, "NaT"], dtype="m8[us]"),
        np.array(["0.1", "1e4000"], dtype=np.longdouble),
        np.array([1, 2], dtype=">i4"),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_every_array_comes_back(array: np.ndarray[Any, Any]) -> None:
    result = again(array)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


def test_arrays_of_objects_come_back() -> None:
    array = np.empty((2, 2), dtype=object)
    array[:] = [[1, "a"], [None, 2.5]]
    array[0, 0] = [1, [2]]
    assert again(array).tolist() == array.tolist()


def test_masked_values_are_none() -> None:
    masked = np.ma.array([[1, 2], [3, 4]], mask=[[False, True], [False, False]])
    assert stored(masked)["data"] == [[1, None], [3, 4]]


def test_fields_of_a_structured_array_become_arrays() -> None:
    array = np.array([(1, "a"), (2, "b")], dtype=[("n", "i8"), ("$t", "U1")])
    result = stored(array)
    assert decode_table(result["n"]).tolist() == [1, 2]
    assert decode_table(result["$t"]).tolist() == ["a", "b"]


def test_extension_arrays_are_series() -> None:
    assert_series_equal(again(pd.Categorical(["a", "b"])), pd.Series(["a", "b"], dtype="category"))


def test_objects_in_tables_are_kept_as_text_with_a_warning() -> None:
    encoded = encode_result(pd.DataFrame({"a": [Decimal("1.1"), object()]}))
    assert encoded.value["data"]["a"][0] == "1.1"
    assert len(encoded.warnings) == 1


def test_equal_categories_are_read_as_objects() -> None:
    categories = pd.Series(["1", Decimal(1)], dtype=pd.CategoricalDtype(["1", Decimal(1)]))
    assert again(categories).tolist() == ["1", "1"]


@settings(deadline=None)
@given(npst.arrays(npst.array_dtypes() | npst.scalar_dtypes(), npst.array_shapes(min_side=0)))
def test_no_array_fails(array: np.ndarray[Any, Any]) -> None:
    encoded = encode_result(array)
    assert encoded.warnings == ()
    bson.encode({"r": encoded.value})
    dumps(restore_keys(encoded.value))


NUMERIC = npst.integer_dtypes() | npst.floating_dtypes() | npst.boolean_dtypes()


def arrays_of(dtype: np.dtype[Any]) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    """Arrays whose text, if any, has whole characters: half ones are spelled out."""
    whole = st.characters(exclude_categories=["Cs"])
    elements = npst.from_dtype(dtype, alphabet=whole)
    return npst.arrays(dtype, npst.array_shapes(min_side=0), elements=elements)


@settings(deadline=None)
@given((NUMERIC | npst.unicode_string_dtypes()).flatmap(arrays_of))
def test_numbers_and_text_come_back_exactly(array: np.ndarray[Any, Any]) -> None:
    result = again(array)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


MOMENT = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(), st.none() | st.text(), MOMENT, st.integers(-9, 9)), max_size=5)
)
def test_frames_come_back_exactly(rows: list[Any]) -> None:
    frame = pd.DataFrame(rows, columns=["f", "t", "m", "i"])
    assert_frame_equal(again(frame), frame)
    indexed = frame.set_index(["i", "m"])
    assert_frame_equal(again(indexed), indexed)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "dataframe"},
        {"type": "series", "data": []},
        {"type": ["dataframe"]},
        {"type": "ndarray", "dtype": "int64", "shape": [1], "data": [1], "more": 1},
        [],
        "dataframe",
        None,
    ],
)
def test_other_values_are_no_tables(value: Any) -> None:
    assert not is_table(value)


ARRAY = {"type": "ndarray", "dtype": "int64", "shape": [1], "data": [1]}
FRAME = stored(pd.DataFrame({"a": [1, 2]}))


@pytest.mark.parametrize(
    "value",
    [
        ARRAY | {"shape": [2]},
        ARRAY | {"shape": [10**12]},
        ARRAY | {"shape": "x"},
        ARRAY | {"data": ["x"]},
        ARRAY | {"dtype": {"name": "category"}},
        FRAME | {"columns": ["a", "b"]},
        FRAME | {"columns": None},
        FRAME | {"index": [1]},
        FRAME | {"data": {"a": [1, 2], "b": [1]}},
        FRAME | {"data": None},
        FRAME | {"dtypes": {}},
        {"type": "unknown"},
    ],
)
def test_what_only_looks_like_a_table_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="cannot be read as one; ask for json"):
        decode_table(value)


@pytest.mark.parametrize(
    "dtype", ["<U1000000000", "|S1000000000", "|V1000000000", "no such", "(9,)f8"]
)
def test_a_dtype_alone_takes_no_memory(dtype: str) -> None:
    value = {"type": "ndarray", "dtype": dtype, "shape": [2], "data": ["a", "b"]}
    assert decode_table(value).tolist() == ["a", "b"]


def test_a_long_column_is_encoded_quickly() -> None:
    frame = pd.DataFrame(
        {"t": pd.date_range("2018", periods=100_000, freq="s"), "v": 1.5, "s": "a"}
    )
    begin = time.process_time()
    stored(frame)
    assert time.process_time() - begin < 3  # a busy machine; 0.2 on a quiet one
