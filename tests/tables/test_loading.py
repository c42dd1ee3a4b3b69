"""Data on its way to a script: what is inferred of a file, and what JSON becomes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobserver.encoding import encode_result, restore_keys
from jobserver.errors import JobNotRunnable
from jobserver.tables.cells import is_time
from jobserver.tables.conversion import convert
from jobserver.tables.datatypes import DatatypeMismatch, check_datatype
from jobserver.tables.errors import AmbiguousTable
from jobserver.tables.layout import infer
from jobserver.tables.loading import load
from jobserver.tables.options import SEPARATORS
from tests.support.strategies import fuzzed, json_values, scalars

Read = Callable[..., Any]
TIMES = ["2018-09-05T17:24", "2018-09-05T18:24"]
SHIPPED = Path(__file__).parents[2] / "data" / "timeseries.csv"
quick = settings(max_examples=fuzzed(60), deadline=None)


def told(read: Read, content: str | bytes, name: str = "a.csv", **options: Any) -> str:
    """Why a file is not read."""
    with pytest.raises(JobNotRunnable) as refused:
        read(content, name, **options)
    (problem,) = refused.value.errors
    assert problem.field == f"the data file {name}"
    return problem.problem


@pytest.mark.parametrize(
    ("text", "separator", "decimal", "header"),
    [
        ("date,value\n2017-01-01,1.5\n", ",", ".", ()),
        ("date;value\n2017-01-01 00:00;1,5\n", ";", ",", ()),
        ("date\tvalue\n2017-01-01\t1,5\n", "\t", ",", ()),
        ("date|value\n2017-01-01|1.5\n", "|", ".", ()),
        ("t   v\n1   1.5\n22  2.5\n", " ", ".", ()),
        ("  t v\n  1 1,5\n", " ", ",", ()),
        ("1,5;2,5\n3,5;4,5\n", ";", ",", None),
        ("1,5 2,5\n1,0 2,0\n", " ", ",", None),
        ("1.5 2.5\n3 4\n", " ", ".", None),
        ("0,0\n1,2\n", ",", ".", None),
        ("a, b\n1, 2\n", ",", ".", ()),
        ("name,city\nBob Smith,New York\nAnn Lee,St Ives\n", ",", ".", ()),
        ('"a;b","c"\n"x;y","1"\n', ",", ".", ()),
        ('"a","b"\n"1,5","2,5"\n', ",", ",", ()),
        ("value\n1,5\n2,7\n", "\t", ",", ()),
        ("value\n1.5\n", "\t", ".", ()),
        ('city\n"Rome, Italy"\n"Paris; France"\n', "\t", ".", ()),
        ("a;b\n01.02.2017;1,5\n", ";", ",", ()),
        ("year,1990,1991\nx,1,2\n", ",", ".", ()),
        ("a,b\n", ",", ".", ()),
        ("# t v\n1 1.5\n", " ", ".", ("t", "v")),
        ("# by me, today\n# t v\n1 1.5\n", " ", ".", ("t", "v")),
        ("# by me\nt,v\n1,1.5\n", ",", ".", ()),
        ("", "\t", ".", ()),
    ],
)
def test_infer(text: str, separator: str, decimal: str, header: tuple[str, ...] | None) -> None:
    layout = infer(text, {})
    assert (layout.separator, layout.decimal) == (separator, decimal)
    if header == ():  # in the first row
        assert bool(layout.names) == bool(text)
    else:
        assert layout.names == header


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("Hello, world\nfoo\n", "separator"),
        ("a,b\n1,2,3,4\n", "separator"),
        ("a;b\n1,234;5\n", "decimal"),
        ("a;b\n1,5;1.5\n", "decimal"),
        ("1990,1991\n1,2\n", "header"),
        ("5\n6\n", "header"),
        ("#id,name\nBob,Rome\n", "header"),
    ],
)
def test_what_is_unsure_names_the_option_that_settles_it(text: str, option: str) -> None:
    with pytest.raises(AmbiguousTable, match=f'"{option}"'):
        infer(text, {})
    choices = {"separator": "\t", "decimal": ",", "header": True}
    infer(text, {option: choices[option]})


def test_numbers_with_grouped_digits_are_refused() -> None:
    for text in ("a;b\n1.234,5;1\n", 'a,b\n"1,234.5",1\n'):
        with pytest.raises(AmbiguousTable, match="grouped digits"):
            infer(text, {})


def test_no_cell_falls_out_of_a_table_with_a_known_separator() -> None:
    with pytest.raises(AmbiguousTable, match="2 columns in its first row, up to 4"):
        infer("a,b\n1,2,3,4\n", {"separator": ","})


@quick
@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_any_text_has_a_dialect_or_none(text: str) -> None:
    try:
        layout = infer(text, {})
    except AmbiguousTable:
        return
    assert layout.separator in SEPARATORS


cells = st.floats(-1e6, 1e6).map(lambda number: round(number, 3) + 0.0001)
names = st.lists(st.text("abcxyz", min_size=1, max_size=8), min_size=2, max_size=4, unique=True)


@quick
@given(st.data(), names, st.sampled_from("\t;|,"), st.sampled_from(".,"))
def test_tables_are_read_as_they_were_written(
    data: st.DataObject, header: list[str], separator: str, decimal: str
) -> None:
    line = st.lists(cells, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(line, min_size=1, max_size=5))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator)
    writer.writerow(header)
    writer.writerows([[f"{cell:.6f}".replace(".", decimal) for cell in row] for row in rows])
    layout = infer(text.getvalue(), {})
    assert (layout.separator, layout.decimal) == (separator, decimal)
    assert layout.names == tuple(header)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(read: Read, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    frame = read("größe;wert\nä€;1,5\n".encode(encoding))
    assert frame.columns.tolist() == ["größe", "wert"]
    assert frame.iloc[0].tolist() == ["ä€", 1.5]
    guessed = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(guessed) == (encoding == "cp1252")
    for message in guessed:
        assert "a.csv is not UTF-8; it was read as cp1252" in message
        assert '"encoding": "cp1252"' in message
    caplog.clear()
    read("größe;wert\nä€;1,5\n".encode(encoding), encoding=encoding)
    assert caplog.messages == []


def test_an_odd_character_far_down(read: Read) -> None:
    rows = "1;2\n" * 50_000
    frame = read(f"a;b\n{rows}x;ä\n".encode("latin-1") + b"y;\x81\n")
    assert frame["b"].iloc[-2:].tolist() == ["ä", "\x81"]


def test_a_named_encoding_is_kept_to(read: Read) -> None:
    assert read("a;b\n1;ä\n".encode("utf-16-le"), encoding="utf-16-le")["b"].tolist() == ["ä"]
    assert '"encoding"' in told(read, "a;b\n1;ä\n".encode(), encoding="ascii")
    assert '"encoding"' in told(read, "a;b\n1;ä\n".encode("utf-16-le"))


def test_the_shipped_file() -> None:
    frame = load({"path": str(SHIPPED)}, as_path=False)
    plain = pd.read_csv(SHIPPED)
    assert frame["value"].equals(plain["value"])
    assert frame["date"].dtype.kind == "M"
    assert frame["date"].equals(pd.to_datetime(plain["date"]))


def test_times(read: Read) -> None:
    text = (
        "day,stamp,zoned,shifted,mixed,text,number\n"
        "2018-09-05,2018-09-05 17:24:22.5,2018-09-05T17:24Z,2018-09-05T17:24+02:00,2018-09-05,"
        "05.09.2018,20180905\n"
        "2018-09-06,,2018-09-06T17:24Z,2018-12-06T17:24+01:00,yesterday,06.09.2018,20180906\n"
    )
    frame = read(text)
    kinds = [dtype.kind for dtype in frame.dtypes]
    assert kinds == ["M", "M", "M", "M", "O", "O", "i"]
    assert str(frame["zoned"].dtype.tz) == "UTC"
    assert frame["shifted"].tolist() == [
        pd.Timestamp("2018-09-05T15:24Z"),
        pd.Timestamp("2018-12-06T16:24Z"),
    ]
    assert frame["stamp"].isna().tolist() == [False, True]


def test_times_with_and_without_a_zone_stay_text(read: Read) -> None:
    frame = read("t,v\n2018-09-05T17:24Z,1\n2018-09-06T17:24,2\n")
    assert frame["t"].tolist() == ["2018-09-05T17:24Z", "2018-09-06T17:24"]


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a;b\n1;2;\n", ["a", "b"], [[1, 2]]),
        ("a;b;\n1;2;\n", ["a", "b"], [[1, 2]]),
        ("a;b\nx;1;2\n", ["a", "b"], [[1, 2]]),
        ("1.5 2\n3 4\n", [0, 1], [[1.5, 2], [3, 4]]),
        ("# it's \"odd\n# t v\n1 1.5\n", ["t", "v"], [[1, 1.5]]),
        ("a b\n  1   2  \n\n 3 4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ('a,b\n"x, y",1\n"z\nz", 2\n', ["a", "b"], [["x, y", 1], ["z\nz", 2]]),
        ("a,b\r\n1,2\r\n", ["a", "b"], [[1, 2]]),
        ("a,b\r1,2\r", ["a", "b"], [[1, 2]]),
        ("a,a\n1,2\n", ["a", "a.1"], [[1, 2]]),
        ("a,b\n", ["a", "b"], []),
    ],
)
def test_tables(read: Read, text: str, columns: list[Any], rows: list[list[Any]]) -> None:
    frame = read(text)
    assert frame.columns.tolist() == columns
    assert frame.to_numpy(object).tolist() == rows


@pytest.mark.parametrize("name", ["a.csv.gz", "a.gz", "a.csv"])
def test_packed_tables(read: Read, name: str) -> None:
    packed = gzip.compress(b"a,b\n1,2\n")
    assert read(packed, name).to_dict("list") == {"a": [1], "b": [2]}
    assert "damaged" in told(read, packed[:-4], name)


def test_options_win(read: Read) -> None:
    text = "1,234 x;5\n2,345 y;6\n"
    assert read(text, separator=",", header=False).shape == (2, 2)
    assert read("1990,1991\n1,2\n", header=True).columns.tolist() == ["1990", "1991"]
    assert read("a;b\n1,234;5\n", decimal=",")["a"].tolist() == [1.234]


@pytest.mark.parametrize(
    ("content", "name", "options", "reason"),
    [
        ("", "a.csv", {}, "is empty"),
        ("a,b\n1,2\n" * 300 + "1,2,3\n", "a.csv", {}, "line 601"),
        ('a,b\n"1,2\n', "a.csv", {"separator": ","}, "is not a table"),
        (b"a\0b", "a.csv", {}, "is not text"),
        (b"\x89PNG", "a.png", {}, "pathlib.Path"),
        (b"x", "a.xlsx", {}, "extension"),
        (b"x", "a.npy", {}, "is not an array"),
        ('{"a": 1}', "a.json", {}, "name another datatype"),
        ('{"a": 1', "a.json", {}, "is not valid JSON"),
        ('[{"t": 1, "q": 2, "q": 3}]', "a.json", {}, 'the key "q" more than once'),
        ("a,b\nx,1\n", "a.csv", {"datatype": "ndarray"}, "not numeric: a"),
        ("a,b\nx,1\n", "a.csv", {"datatype": "timeseries"}, "no column of times"),
        ("t,b\n2018-09-05,1\n,2\n", "a.csv", {"datatype": "timeseries"}, "without a time"),
        ("a,b,c\n1,2,3\n", "a.csv", {"datatype": "series"}, "has 3 columns"),
    ],
)
def test_files_that_are_not_read(
    read: Read, content: str | bytes, name: str, options: dict[str, Any], reason: str
) -> None:
    assert reason in told(read, content, name, **options)


def test_a_reader_whose_library_is_not_here(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = "needs pyarrow, which the server lacks: pip install 'jobserver-rest[files]'"
    assert told(read, b"PAR1", "a.parquet") == message


def test_other_files(read: Read, tmp_path: Path) -> None:
    rows = '[{"t": "2018-09-05", "v": 1}, {"t": "2018-09-06"}]'
    assert [dtype.kind for dtype in read(rows, "a.json").dtypes] == ["M", "f"]
    assert read('{"a": 1}', "a.json", datatype="json") == {"a": 1}
    assert read('{"type": "Feature"}', "a.geojson") == {"type": "Feature"}
    assert read("<a>ä</a>", "a.xml", datatype="text") == "<a>ä</a>"
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    source = {"path": str(tmp_path / "a.npy")}
    assert load(source, as_path=False).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert load({**source, "datatype": "dataframe"}, as_path=False).shape == (2, 3)


def test_a_script_that_asks_for_the_path_gets_it(tmp_path: Path) -> None:
    assert load({"path": str(tmp_path / "any.png")}, as_path=True) == tmp_path / "any.png"
    assert load({"value": [1]}, as_path=True) == [1]


def test_series_and_timeseries_of_a_file(read: Read) -> None:
    text = "t,v\n2018-09-05T17:24,1.5\n2018-09-05T18:24,2.5\n"
    series, frame = read(text, datatype="series"), read(text, datatype="timeseries")
    assert series.tolist() == frame["v"].tolist() == [1.5, 2.5]
    for table in (series, frame):
        assert isinstance(table.index, pd.DatetimeIndex)
        assert table.index.name == "t"
    assert read("v\n1\n2\n", datatype="series").tolist() == [1, 2]


@quick
@given(json_values())
def test_stored_json_is_loaded_as_it_is(value: Any) -> None:
    assert load({"value": value}, as_path=False) == value
    assert load({"value": value, "datatype": "json"}, as_path=False) == value


def test_stored_data_is_loaded_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "data.bson"
    path.write_bytes(bson.encode({"data": {"a": [1, 2]}}))
    assert load({"stored": str(path)}, as_path=False) == {"a": [1, 2]}
    frame = load({"stored": str(path), "datatype": "dataframe"}, as_path=False)
    assert frame.to_dict("list") == {"a": [1, 2]}


cell = scalars | st.sampled_from(TIMES)
row = st.integers(0, 3).flatmap(lambda width: st.lists(cell, min_size=width, max_size=width))
columns = st.integers(0, 3).flatmap(
    lambda size: st.dictionaries(st.text(), st.lists(cell, min_size=size, max_size=size))
)
records = st.lists(st.dictionaries(st.sampled_from("ab"), cell))
tables = st.lists(row, max_size=3) | columns | records | st.dictionaries(st.text(), cell)


@settings(quick, suppress_health_check=[HealthCheck.too_slow])
@given(json_values() | tables, st.sampled_from(["dataframe", "series", "ndarray", "text"]))
def test_what_was_checked_is_converted_and_nothing_else(value: Any, datatype: str) -> None:
    try:
        check_datatype(value, datatype)
    except DatatypeMismatch:
        with pytest.raises(DatatypeMismatch):
            convert(value, datatype)
    else:
        kinds = {"dataframe": pd.DataFrame, "series": pd.Series, "ndarray": np.ndarray}
        assert isinstance(convert(value, datatype), kinds.get(datatype, str))


@settings(quick, suppress_health_check=[HealthCheck.too_slow])
@given(json_values() | tables)
def test_a_timeseries_has_times_or_is_refused(value: Any) -> None:
    try:
        frame = convert(value, "timeseries")
    except DatatypeMismatch:
        return
    assert isinstance(frame.index, pd.DatetimeIndex)


FRAMES = [
    {"a": [1, 2], "b": ["x", "y"]},
    {"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}},
    [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]},
    {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2, "y"]]},
    restore_keys(encode_result(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})).value),
]


@pytest.mark.parametrize("value", FRAMES)
def test_forms_of_a_dataframe(value: Any) -> None:
    frame = convert(value, "dataframe")
    assert frame.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert frame.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    "value",
    [
        dict(zip(TIMES, [1.5, None], strict=True)),
        [[TIMES[0], 1.5], [TIMES[1], None]],
        [{"t": TIMES[0], "value": 1.5}, {"t": TIMES[1]}],
        {"value": [1.5, None], "t": TIMES},
        {"value": dict(zip(TIMES, [1.5, None], strict=True))},
        {"columns": ["value"], "index": TIMES, "data": [[1.5], [None]]},
    ],
)
def test_forms_of_a_timeseries(value: Any) -> None:
    frame = convert(value, "timeseries")
    assert frame.index.tolist() == [pd.Timestamp(time) for time in TIMES]
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame.columns.tolist() == ["value"]
    assert frame["value"].iloc[0] == 1.5
    assert math.isnan(frame["value"].iloc[1])


@pytest.mark.parametrize("value", [pd.Series([1.5], [pd.Timestamp(TIMES[0])])])
def test_results_are_data_again(value: pd.Series[Any]) -> None:
    stored = restore_keys(encode_result(value).value)
    assert convert(stored, "series").equals(value)
    assert convert(stored, "timeseries")["value"].equals(value.rename("value"))
    assert convert(stored, "json") == stored


def test_forms_of_a_series() -> None:
    assert convert([1, None], "series").isna().tolist() == [False, True]
    assert convert({"a": 1, "b": 2}, "series").to_dict() == {"a": 1, "b": 2}
    assert convert({"0": 1, "10": 2}, "series").to_dict() == {0: 1, 10: 2}
    assert isinstance(convert(dict.fromkeys(TIMES, 1), "series").index, pd.DatetimeIndex)


def test_forms_of_an_array() -> None:
    assert convert([[1, 2], [3, 4]], "ndarray").dtype.kind == "i"
    assert np.isnan(convert([[1, None]], "ndarray")[0, 1])
    assert convert(["a", "b"], "ndarray").tolist() == ["a", "b"]
    assert convert([], "ndarray").shape == (0,)
    assert convert([[], []], "ndarray").shape == (2, 0)


@pytest.mark.parametrize(
    ("value", "datatype", "reason"),
    [
        ({"a": [1], "b": [1, 2]}, "dataframe", "different lengths: a: 1, b: 2"),
        ([[1], [1, 2]], "dataframe", "rows of different lengths: 1, 2"),
        ([1, [2]], "dataframe", "of different kinds"),
        ({"columns": ["a", "a"], "data": [[1, 2]]}, "dataframe", "two columns of the same name"),
        ({"columns": ["a"], "data": [[1, 2]]}, "dataframe", "rows of other lengths"),
        ({"columns": ["a"], "index": [], "data": [[1]]}, "dataframe", "number of labels"),
        ({"columns": "a", "data": [[1]]}, "dataframe", "a list of names"),
        (7, "dataframe", "a number"),
        ({"a": [1]}, "timeseries", "has no times"),
        ({TIMES[0]: 1, "later": 2}, "timeseries", "has no times"),
        (["2018-13-45"], "timeseries", "no column of times"),
        ([[1]], "series", "is not a series"),
        ("text", "series", "is not a series"),
        ([[1, 2], [3]], "ndarray", "different lengths"),
        ([[1], 2], "ndarray", "depths"),
        ([1, "a"], "ndarray", "all numbers or all text"),
        ([{}], "ndarray", "all numbers or all text"),
        (None, "text", "null"),
        (True, "text", "true or false"),
        (1, "table", "use one of dataframe"),
    ],
)
def test_values_that_do_not_fit(value: Any, datatype: str, reason: str) -> None:
    with pytest.raises(DatatypeMismatch, match=reason):
        convert(value, datatype)


@pytest.mark.parametrize(
    "text",
    [
        *("2018-09-05", "2018-09-05T17", "2018-09-05 17:24", "2018-09-05T17:24:22.607225Z"),
        *("2018-09-05T17:24+02:00", "2018-09-05T172422+0200", "2017-01-01T00:00:00.000000000"),
    ],
)
def test_is_time(text: str) -> None:
    assert is_time(text)
    assert isinstance(pd.to_datetime(text, format="ISO8601"), pd.Timestamp)


@pytest.mark.parametrize("value", ["2018", "2018-09", "05.09.2018", "20180905", "", 2018, None])
def test_is_not_surely_a_time(value: Any) -> None:
    assert not is_time(value)


@pytest.mark.parametrize(
    ("wrong", "true"),
    [
        ("latin-1", "utf-16"),
        ("latin-1", "utf-16-le"),
        ("utf-8", "utf-16-be"),
        ("utf-16", "utf-8"),
        ("utf-16-le", "latin-1"),
        ("utf-16-be", "utf-16-le"),
        ("utf-32", "utf-8"),
        ("cp500", "latin-1"),
        ("utf-8", "latin-1"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(read: Read, wrong: str, true: str) -> None:
    content = "date,level [m]\n2020-01-01,1.5 à\n2020-01-02,2.5\n".encode(true)
    problem = told(read, content, encoding=wrong)
    assert wrong in problem
    assert '"encoding"' in problem
    advised = true if true in ("utf-16-be", "utf-16-le") else None
    assert read(content, encoding=advised)["date"].dt.day.tolist() == [1, 2]
    assert advised is None or f'"encoding": "{advised}"' in problem


def test_text_in_an_encoding_without_a_byte_order_mark_names_it(read: Read) -> None:
    content = "a,b\n1,2\n".encode("utf-16-le")
    assert '"encoding": "utf-16-le"' in told(read, content)
    assert read(content, encoding="utf-16-le").to_dict("list") == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("content", "options", "names"),
    [
        ([["t", "v"], ["2020-01-01", 1.5]], {}, ["t", "v"]),
        ([["id", "to"], ["1", "2020-01-01T00:00:00.000+01:00"]], {}, ["id", "to"]),
        ([["t", "2019", "2020"], ["A", 1.5, 2.5]], {}, ["t", "2019", "2020"]),
        ([["a", "b"], ["x", "y"]], {"header": True}, ["a", "b"]),
        ([["a", "b"], ["x", "y"]], {}, [0, 1]),
        ([["t", "v"], ["2020-01-01", 1.5]], {"header": False}, [0, 1]),
        ([["2020-01-01", "NA"], ["2020-01-02", 2.5]], {}, [0, 1]),
        ([["2020-01-01", "Ice"], ["2020-01-02", 2.5]], {}, [0, 1]),
    ],
)
def test_the_first_of_lists_in_json_names_columns_if_that_is_certain(
    read: Read, content: list[list[Any]], options: dict[str, Any], names: list[Any]
) -> None:
    frame = read(json.dumps(content), "a.json", **options)
    assert (frame.columns.tolist(), len(frame)) == (names, 1 if names != [0, 1] else 2)


def test_lists_with_names_are_a_time_series_also_when_a_job_sends_them() -> None:
    source = {"value": [["t", "v"], ["2020-01-01", 1.5]], "datatype": "timeseries"}
    assert load(source, as_path=False)["v"].tolist() == [1.5]


def test_a_name_of_two_columns_in_lists_is_refused(read: Read) -> None:
    assert "same name" in told(read, '[["a", "a"], [1, 2]]', "a.json", header=True)
