"""Tables as xlsx: what openpyxl and pandas read back is what was in the table, or its text."""

from __future__ import annotations

import io
import math
from datetime import datetime
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from pandas.testing import assert_frame_equal

from jobserver.encoding import encode_result, show_value, workbooks
from jobserver.errors import UnsupportedType
from tests.support.strategies import fuzzed

TIME = datetime(2018, 9, 5, 17, 24, 22, 607000)


def xlsx(value: Any) -> bytes:
    return b"".join(show_value(encode_result(value).value, "xlsx"))


def cells(value: Any) -> list[list[Any]]:
    """The values of all cells."""
    sheet = openpyxl.load_workbook(io.BytesIO(xlsx(value))).active
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def column(values: Any) -> list[Any]:
    """What a column is read as, without its name."""
    return [row[0] for row in cells(pd.DataFrame({"x": values}))[1:]]


def test_a_table_is_read_back_as_it_was() -> None:
    frame = pd.DataFrame(
        {
            "n": [1, -2],
            "x": [0.1 + 0.2, 1e300],
            "t": pd.to_datetime([TIME, datetime(2100, 1, 1)]).as_unit("us"),
            "s": ["a", "ü<&>\n"],
            "b": [True, False],
        }
    )
    assert_frame_equal(pd.read_excel(io.BytesIO(xlsx(frame))), frame, check_exact=True)


@pytest.mark.parametrize("text", ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@x", "1", "TRUE"])
def test_text_stays_text(text: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(xlsx(pd.DataFrame({text: [text, "x"]}))))
    for cell in book.active["A"][:2]:
        assert (cell.value, cell.data_type) == (text, "s")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([999_999_999_999_999, -(10**15)], [999_999_999_999_999, "-1000000000000000"]),
        ([2**53 + 1, 2**63 - 1], ["9007199254740993", "9223372036854775807"]),
        (pd.array([2**64 - 1], "uint64"), ["18446744073709551615"]),
        ([math.nan, math.inf, -0.0, 5e-324], [None, "inf", -0.0, "5e-324"]),
        (pd.array([1, None], "Int64"), [1, None]),
        ([None, "", " a "], [None, "", " a "]),
        (np.array([1500], "m8[ms]"), ["PT1.5S"]),
        ([1 + 2j], ["(1+2j)"]),
        (pd.Series([[1, {"a": None}], b"x"], dtype=object), ['[1,{"a":null}]', "eA=="]),
        (np.array(["2018-09-05T17:24:22.607", "NaT"], "M8[ns]"), [TIME, None]),
        (np.array(["2018-09-05T17:24:22.607225"], "M8[us]"), ["2018-09-05T17:24:22.607225"]),
        (
            np.array(["1900-02-28", "1900-03-01"], "M8[s]"),
            ["1900-02-28T00:00:00", datetime(1900, 3, 1)],
        ),
        (
            np.array(["20180-01-01", "-0044-03-15"], "M8[s]"),
            ["20180-01-01T00:00:00", "-044-03-15T00:00:00"],
        ),
        (pd.Series([TIME, "x"], dtype=object), [TIME, "x"]),
        (pd.Series([TIME.replace(microsecond=7)], dtype=object), ["2018-09-05T17:24:22.000007Z"]),
        (["_x0041_x0042_", "\0\r\uffff"], ["_x0041_x0042_", "\0\r\uffff"]),
    ],
)
def test_every_cell_is_exact_or_text(values: Any, expected: list[Any]) -> None:
    found = [unescape(cell) if isinstance(cell, str) else cell for cell in column(values)]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_times_with_a_zone_are_shown_as_utc() -> None:
    times = pd.to_datetime(["2018-09-05T17:00"]).tz_localize("Europe/Berlin")
    [_, [cell]] = openpyxl.load_workbook(io.BytesIO(xlsx(times.to_frame(index=False)))).active.rows
    assert cell.value == datetime(2018, 9, 5, 15)
    assert cell.number_format.endswith('"Z"')


def test_labels_with_levels_and_names_used_twice() -> None:
    levels = pd.MultiIndex.from_tuples([("a", TIME), ("b", TIME)], names=["p", None])
    frame = pd.DataFrame([[1, 2], [3, 4]], levels, ["x", "x"])
    assert cells(frame) == [["p", None, "x", "x"], ["a", TIME, 1, 2], ["b", TIME, 3, 4]]
    frame.columns = pd.MultiIndex.from_tuples([("x", 1), ("x", 2)], names=["q", "r"])
    assert cells(frame)[:3] == [
        ["q", None, "x", "x"],
        ["r", None, 1, 2],
        ["p", None, None, None],
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.5, 2]), [[1.5], [2]]),
        (pd.Series([1], name="v"), [["v"], [1]]),
        (pd.Index(["a"]), [[0], ["a"]]),
        ({"v": {"count": 2.0, "mean": None}}, [[None, "v"], ["count", 2], ["mean", None]]),
        (pd.DataFrame({"a": []}), [["a"]]),
    ],
)
def test_whatever_is_a_table_can_be_a_workbook(value: Any, expected: Any) -> None:
    assert cells(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((1_048_577, 1), "int8"), "1,048,577 rows, .* holds 1,048,576. Ask for csv"),
        (pd.DataFrame({"a": np.zeros(1_048_576, "int8")}), "1,048,577 rows"),
        (np.zeros((1, 16_385), "int8"), "16,385 columns, .* Ask for csv"),
        (pd.DataFrame({"a": ["x" * 32_768]}), "32,768 characters .* Ask for csv"),
        (pd.DataFrame({"a": ["\U0001f30d" * 20_000]}), "20,000 characters"),
        (np.zeros((1, 1, 1)), "3 dimensions"),
    ],
)
def test_what_a_sheet_cannot_hold_is_refused(value: Any, words: str) -> None:
    with pytest.raises(UnsupportedType, match=words):
        xlsx(value)


def test_a_sheet_that_is_too_large_for_a_zip_file_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbooks, "_LARGEST_SHEET", 1000)
    assert len(cells(pd.DataFrame({"a": range(3)}))) == 4
    with pytest.raises(UnsupportedType, match=r"too large for xlsx\. Ask for csv"):
        xlsx(pd.DataFrame({"a": range(100)}))


LETTERS = [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")]


@pytest.mark.parametrize(("number", "name"), LETTERS)
def test_columns_are_named_as_in_spreadsheets(number: int, name: str) -> None:
    assert workbooks._letters(number) == name


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
numbers = st.integers(1 - 10**15, 10**15 - 1) | st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes(datetime(1900, 3, 1)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)


@settings(deadline=None, max_examples=fuzzed(50))
@given(
    st.lists(numbers.filter(lambda n: n == 0 or abs(n) > 1e-300), min_size=1, max_size=9),
    st.lists(texts, min_size=1, max_size=9),
    st.lists(times, min_size=1, max_size=9),
)
def test_a_workbook_read_back_is_equal(numbers: Any, texts: Any, times: Any) -> None:
    assert column(pd.Series(numbers, dtype=object)) == numbers
    assert [*map(unescape, column(texts))] == texts
    assert column(pd.Series(times, dtype="M8[us]")) == times
