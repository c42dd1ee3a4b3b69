"""Tables as agencies publish them: read rightly, or refused with the option that settles it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobserver.errors import JobNotRunnable
from jobserver.tables.loading import load
from jobserver.tables.options import OPTIONS, extension_of, option_problems
from tests.support.strategies import fuzzed

Read = Callable[..., Any]


def why(read: Read, content: str, name: str = "a.csv", **options: Any) -> str:
    """Why a file is not read."""
    with pytest.raises(JobNotRunnable) as refused:
        read(content, name, **options)
    (problem,) = refused.value.errors
    return problem.problem


def rows(frame: pd.DataFrame) -> list[list[Any]]:
    """The rows of a table, times as text and missing values as None."""
    texts = frame.astype(object).where(frame.notna(), None)
    return [[str(c) if isinstance(c, pd.Timestamp) else c for c in row] for row in texts.to_numpy()]


DAYS = ["2020-01-01 00:00:00", "2020-01-02 00:00:00"]


@pytest.mark.parametrize(
    ("text", "options", "columns", "expected"),
    [
        (
            "2020-01-01,1.5,A\n2020-01-02,2.5,A",
            {},
            [0, 1, 2],
            [[DAYS[0], 1.5, "A"], [DAYS[1], 2.5, "A"]],
        ),
        ("gauge_id;flow\n01013500;3.1", {}, ["gauge_id", "flow"], [["01013500", 3.1]]),
        (
            "gauge_id,flow\n01013500,3.1\n,2",
            {},
            ["gauge_id", "flow"],
            [["01013500", 3.1], [None, 2]],
        ),
        ("country,v\nNA,1\nDE,2", {}, ["country", "v"], [["NA", 1], ["DE", 2]]),
        ("country,v\nFR,NA\nDE,2", {}, ["country", "v"], [["FR", None], ["DE", 2]]),
        ("q\n131\n-999\n-999.0", {"missing": [-999]}, ["q"], [[131], [None], [None]]),
        ("q,s\n131,x\n-9,Ice", {"missing": ["Ice", -9]}, ["q", "s"], [[131, "x"], [None, None]]),
        (
            "date,time,flow\n2020-01-01,00:00,1.5\n2020-01-02,24:00,2.5",
            {},
            ["date", "flow"],
            [[DAYS[0], 1.5], ["2020-01-03 00:00:00", 2.5]],
        ),
        ('date,flow\n2020-01-01,"1,234"', {"thousands": ","}, ["date", "flow"], [[DAYS[0], 1234]]),
        ("a;b\n1.234,5;1", {"thousands": "."}, ["a", "b"], [[1234.5, 1]]),
        ("a;b\n1 234;1", {"thousands": " "}, ["a", "b"], [[1234, 1]]),
        (
            "date,flow\n2020-01-01,1.5\n\nMean,2.0\nSource: x",
            {},
            ["date", "flow"],
            [[DAYS[0], 1.5]],
        ),
        (
            "".join(f"Station {n}:\tx\n" for n in range(15)) + "date\tq\tt\n2020-01-01\t1.5\t2",
            {},
            ["date", "q", "t"],
            [[DAYS[0], 1.5, 2]],
        ),
        (
            "Daily flow m3/s\n2020 1 1 1.5",
            {"skip": 1, "times": [0, 1, 2]},
            [0, 3],
            [[DAYS[0], 1.5]],
        ),
        (
            "a;b;c\n;cm;°C\n2020-01-01;1;2\n2020-01-02;2;3",
            {},
            ["a", "b", "c"],
            [[DAYS[0], 1, 2], [DAYS[1], 2, 3]],
        ),
        ("q\nm3/s\n1\n2", {"units": True}, ["q"], [[1], [2]]),
        ("date flow\n----- ----\n2020-01-01 1", {}, ["date", "flow"], [[DAYS[0], 1]]),
        ("sep=;\na;b\n1,5;2", {}, ["a", "b"], [[1.5, 2]]),
        ("a,b\n1,2,3\n4,5,6", {}, ["a", "b"], [[2, 3], [5, 6]]),
        ("a,b,c\n1,2,3", {"columns": ["c", 0]}, ["c", "a"], [[3, 1]]),
        ("a,b\n1,2", {"text": ["a"]}, ["a", "b"], [["1", 2]]),
        ("a,b\n1,2\n\n3,4", {}, ["a", "b"], [[1, 2], [3, 4]]),
        (
            "y,m,d,h,q\n2020,1,2,06,3",
            {"times": [*"ymdh"]},
            ["y", "q"],
            [["2020-01-02 06:00:00", 3]],
        ),
        ("a,b\n1,\n2,", {}, ["a", "b"], [[1, None], [2, None]]),
        (
            "Station X,,\n,,\ndate,q,t\n2020-01-01,1.5,2\n,,\n2020-01-02,2.5,3\n,,\n,,\n",
            {},
            ["date", "q", "t"],
            [[DAYS[0], 1.5, 2], [None, None, None], [DAYS[1], 2.5, 3]],
        ),
        ("q,T\n,1\n2,3", {}, ["q", "T"], [[None, 1], [2, 3]]),
        ("id,q\n007,1\n1.5,2", {}, ["id", "q"], [["007", 1], ["1.5", 2]]),
        ("Well 1\n# id;q\n5;1\n6;2", {}, ["id", "q"], [[5, 1], [6, 2]]),
        ("year,1,2\n2020,3,4\n2021,5,6", {}, ["year", "1", "2"], [[2020, 3, 4], [2021, 5, 6]]),
        ("date,01013500\n2020-01-01,3.5", {}, ["date", "01013500"], [[DAYS[0], 3.5]]),
        (
            "well,x\na,1\n\ndate,q,,\n2020-01-01,1.5,,,\n2020-01-02,2.5,,,",
            {"skip": 3},
            ["date", "q"],
            [[DAYS[0], 1.5], [DAYS[1], 2.5]],
        ),
    ],
)
def test_what_tables_are(
    read: Read, text: str, options: dict[str, Any], columns: list[Any], expected: list[Any]
) -> None:
    frame = read(text, **options)
    assert frame.columns.tolist() == columns
    assert rows(frame) == expected


@pytest.mark.parametrize(
    ("text", "options", "facts"),
    [
        ("date level temp\n2020-01-01 1.2 3.1\n2020-01-02     3.2", {}, ["blank cell", "line 3"]),
        ("Daily flow m3/s\n2020 1 1 1.5\n2020 1 2 2.5", {}, ["line 1", '"skip"']),
        ('date,flow\n2020-01-01,"1,234"', {}, ['"thousands"', '"decimal"', "1,234", "line 2"]),
        ("a,b\n1,2\n1,2,3", {}, ["3 in line 3", '"separator"']),
        ("date,flow\n2020-01-01,1\nbroken\n2020-01-02,2", {}, ["'broken'", "line 3"]),
        ("a;b\n1,234;5\n", {}, ["1,234", "line 2", '"decimal"']),
        ("2020-01-01,1.5*\n2020-01-02,2.5\n2020-01-03,3.5", {}, ["line 1", '"header"']),
        ("01999990 1980 x\n01999990 1981 2\n01999990 1982 3", {}, ["line 1", '"header"']),
        ("20200101 12.5%\n20200102 13.5\n20200103 14.5", {}, ["line 1", '"header"']),
        ("Level\n2020 1 1.5\n2020 2 2.5", {}, ["1 in line 1", '"skip"']),
        ("date;clock; q\n2020-01-01;--:--; 1\n2020-01-02;--:--;; 2", {}, ["4 in line 3"]),
        ("# a,b,c\n1,20,3,\n1,21,4\n1,22,5", {}, ["line 2", '"header"']),
        ("a b c\nd: e f g h\nx,y\n1,2\nnote\n3,4\n5,6", {}, ["different lengths"]),
        ("made on 01-05-2021\nand in more words\nx\n", {"separator": " "}, ["row in line 1"]),
        ("a\tb\n5s\t5n\nx\t1\ty\t2\n", {}, ["4 cells in line 3"]),
        ("a,b\n1,2", {"columns": ["c"]}, ["'c'", "a, b"]),
        ("t,q\n01/02/2020,1", {"times": "t"}, ['"%d/%m/%Y"', '"%m/%d/%Y"']),
        ("t,q\n2020-02-30,1", {"times": "t"}, ["'2020-02-30'", "line 2"]),
        ("t,q\n2020-01-01,1\n1990-01-00,1", {"times": "t"}, ["'1990-01-00'", "line 3"]),
        (
            "t,q\n2020-03-29 02:30,1",
            {"times": {"columns": "t", "zone": "Europe/Berlin"}},
            ["line 2"],
        ),
        (
            "q,updated,time\n1,2024-05-01,2020-01-01",
            {"datatype": "timeseries"},
            ['"times"', "updated"],
        ),
        *(
            (f"when,q\n{time},1", {"datatype": "timeseries"}, ['"times"', time, "line 2"])
            for time in (
                "2020-02-30",
                "1990-01-00",
                "01.02.2004 00:00",
                "20200101",
                "8/16/2006 10:02",
            )
        ),
    ],
)
def test_refusals_name_line_cell_and_option(
    read: Read, text: str, options: dict[str, Any], facts: list[str]
) -> None:
    told = why(read, text, **options)
    assert [fact for fact in facts if fact not in told] == []
    listed = told.rpartition('Options in "data": ')[2].split(", ")
    assert listed == [option for option in OPTIONS if option not in ("sheet", "records")]


@pytest.mark.parametrize(
    "text", ['# a,b\n"1,2\n3,4\n', 'a,"b\n1,2\n3,4\n', 'a,b\n1,2\n3,"4\n5,6\n']
)
def test_a_quote_that_never_ends_is_refused(read: Read, text: str) -> None:
    assert "quote" in why(read, text)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2020-01-02", "2020-01-02 00:00:00"),
        ("2020-01-01 24:00", "2020-01-02 00:00:00"),
        ("01.02.2004 00:00", "2004-02-01 00:00:00"),
        ("01.02.2004 24:00", "2004-02-02 00:00:00"),
        ("20200101", "2020-01-01 00:00:00"),
        ("2020010112", "2020-01-01 12:00:00"),
        ("202001011230", "2020-01-01 12:30:00"),
        ("8/16/2006 10:02", "2006-08-16 10:02:00"),
        ("16/8/2006 10:02:03", "2006-08-16 10:02:03"),
        ("2021-02-18 21:46:23 UTC", "2021-02-18 21:46:23+00:00"),
        ("2020/01/02 03:04", "2020-01-02 03:04:00"),
        ("12-Feb-2020", "2020-02-12 00:00:00"),
        ("08/16/2006 10:02:00 PM", "2006-08-16 22:02:00"),
        ("2020-03", "2020-03-01 00:00:00"),
    ],
)
def test_times_are_read_as_they_are_certainly_written(read: Read, cell: str, expected: str) -> None:
    frame = read(f"when,q\n{cell},1.5\n", times="when", datatype="timeseries")
    assert str(frame.index[0]) == expected
    assert frame["q"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("cell", "option", "expected"),
    [
        ("02/01/2020", {"format": "%m/%d/%Y"}, "2020-02-01 00:00:00"),
        ("1990-01-00", {"format": "%Y-%m-00"}, "1990-01-01 00:00:00"),
        ("2020-07-01 12:00", {"zone": "Europe/Berlin"}, "2020-07-01 10:00:00+00:00"),
        ("2020-07-01 12:00", {"zone": "+01:00"}, "2020-07-01 11:00:00+00:00"),
    ],
)
def test_formats_and_zones(read: Read, cell: str, option: dict[str, str], expected: str) -> None:
    frame = read(f"when,q\n{cell},1.5\n", times={"columns": "when", **option})
    assert str(frame["when"].iloc[0]) == expected


def test_usgs_rdb(read: Read) -> None:
    text = (
        "# Data provided for site 01013500\n#\n"
        "agency_cd\tsite_no\tdatetime\t68_00060\t68_00060_cd\n5s\t15s\t20d\t14n\t10s\n"
        "USGS\t01013500\t2020-01-01\t3\tA\nUSGS\t01013500\t2020-01-02\t4\tA:e\n"
    )
    frame = read(text, "a.txt")
    assert rows(frame) == [
        ["USGS", "01013500", DAYS[0], 3, "A"],
        ["USGS", "01013500", DAYS[1], 4, "A:e"],
    ]


def test_campbell_toa5(read: Read) -> None:
    text = (
        '"TOA5","station","CR1000","1","x","CPU:a.CR1","1","Table"\n'
        '"TIMESTAMP","RECORD","Temp"\n"TS","RN","Deg C"\n"","","Avg"\n'
        '"2020-01-01 00:00:00",1,"NAN"\n"2020-01-01 00:10:00",2,3.5\n'
    )
    frame = read(text, "a.dat")
    assert frame.columns.tolist() == ["TIMESTAMP", "RECORD", "Temp"]
    assert rows(frame)[1] == ["2020-01-01 00:10:00", 2, 3.5]
    assert frame["Temp"].isna().tolist() == [True, False]
    assert frame.attrs["units"]["Temp"] == "Deg C"
    assert len(read(text.replace('"","","Avg"\n', ""), "a.dat")) == 2


@pytest.mark.parametrize(
    ("above", "line", "names"),
    [
        ("# Station,Koblenz", 1, ["Station", "Koblenz"]),
        ("# date,q\n# YYYY-MM-DD,m3/s", 1, ["date", "q"]),
        ("# made by,me\n# date,q [m3/s]", 2, ["date", "q [m3/s]"]),
    ],
)
def test_a_comment_that_names_the_columns_is_reported(
    read: Read, caplog: pytest.LogCaptureFixture, above: str, line: int, names: list[str]
) -> None:
    caplog.set_level(logging.INFO)
    text = f"{above}\n2020-01-01,1\n2020-01-02,2\n"
    assert read(text).columns.tolist() == names
    assert f"line {line} names the columns" in caplog.text
    assert read(text, header=False).columns.tolist() == [0, 1]


def test_what_is_left_out_is_told(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    def told(text: str, **options: Any) -> str:
        caplog.clear()
        read(text, **options)
        return "\n".join(record.getMessage() for record in caplog.records)

    caplog.set_level(logging.INFO)
    ice = "time,q,T\n2020-01-01,1.5,1\n2020-01-02,Ice,2\n2020-01-03,3,3"
    assert all(word in told(ice) for word in ("column q", "text", "'Ice'", "line 3"))
    assert "lines 4 to 5" in told("date,flow\n2020-01-01,1.5\n\nMean,2.0\nSource: x")
    assert "line 4, from" in told("date,flow\n2020-01-01,1.5\n\nMean,2.0")
    assert "15 lines" in told("x:\ty\n" * 15 + "date\tq\tt\n2020-01-01\t1.5\t2")
    assert "label" in told("a,b\n1,2,3")
    assert "units: cm, °C" in told("a;b;c\n;cm;°C\n2020-01-01;1;2\n2020-01-02;2;3")
    assert ": 3" in told("a,b\n1,2\n3\n4,5")
    assert "date and time" in told("date,time,flow\n2020-01-01,00:00,1.5")
    assert "NA" in told("country,v\nFR,NA\nDE,2")
    for code in ("-999", "-9999", "-999999999", "9999", "-99.9"):
        text = told(f"q\n131.5\n{code}\n120.25\n")
        assert code in text
        assert '"missing"' in text
        assert told(f"q\n131.5\n{code}\n120.25\n", missing=[float(code)]) == ""
    assert told("q\n-99.9\n-98\n-120\n-101\n") == ""
    assert "1, the first from line 2" in told('a,b,c\n1,"x,3\n2,"y,4\n3,z,5\n')
    assert "header goes over several lines" in told('a,"b\nm"\n1,2\n')
    assert "zeros at the start" in told("id,q\n007,1\n1.5,2")
    assert "'2*' in line 3" in told("a,b\n1,1\n2*,1\n")
    assert "Line 2, which skip leaves out" in told("x,y\n2020-01-01,1\n2020-01-02,2", skip=2)


DAYS_OF_JANUARY = "".join(f"{day:02}.01.2020;1,25;\n" for day in range(1, 29))


@pytest.mark.parametrize(
    ("footer", "lines"),
    [
        ("Mittelwert;12,5;", "line 30"),
        ("Quelle: LANUV;;", "line 30"),
        ("Mittelwert;12,5;\n;;x\nQuelle: LANUV;;", "lines 30 to 32"),
    ],
)
def test_last_rows_that_start_with_a_word_instead_of_a_date_are_a_footer(
    read: Read, caplog: pytest.LogCaptureFixture, footer: str, lines: str
) -> None:
    text = f"Datum;Wert;Art\n{DAYS_OF_JANUARY}{footer}\n"
    for options in ({}, {"times": "Datum"}, {"times": {"columns": 0, "format": "%d.%m.%Y"}}):
        caplog.clear()
        assert read(text, **options)["Wert"].tolist() == [1.25] * 28
        assert f"{lines}, from {footer.partition(chr(10))[0]!r}" in caplog.text
    assert len(read(text, text=["Datum"])) == 28 + len(footer.split("\n"))


def test_a_footer_hides_no_units(read: Read) -> None:
    days = "".join(f"2020-01-{day},1.5\n" for day in range(10, 20))
    frame = read(f"date,flow\n,m3/s\n{days}Total,15\n")
    assert frame.attrs == {"units": {"date": "", "flow": "m3/s"}}
    assert frame["flow"].tolist() == [1.5] * 10


FLOWS: list[dict[str, object]] = [{"q": 1.5, "t": f"2020-01-{day}"} for day in range(10, 20)]


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ([{"t": row["t"], "q": row["q"]} for row in FLOWS] + [{"t": "Total", "q": 15}], {}),
        ([*FLOWS, {"q": 15, "t": "Total"}], {"times": "t"}),
        ([*FLOWS, {"q": 15, "t": "Total"}], {"columns": ["t", "q"], "times": 0}),
        ({"q": {str(row["t"]): 1.5 for row in FLOWS} | {"Total": 15}}, {}),
        ({str(row["t"]): 1.5 for row in FLOWS} | {"Total": 15}, {"datatype": "timeseries"}),
        ({str(row["t"]): 1.5 for row in FLOWS} | {"Total": 15}, {"datatype": "series"}),
        ([[row["t"], 1.5] for row in FLOWS] + [["Total", 15]], {"datatype": "timeseries"}),
    ],
)
def test_words_below_dates_in_json_are_a_footer(
    read: Read, caplog: pytest.LogCaptureFixture, value: object, options: dict[str, Any]
) -> None:
    found = read(json.dumps(value), "a.json", **{"datatype": "dataframe", **options})
    frame = found.to_frame("q") if options.get("datatype") == "series" else found
    assert len(frame) == 10
    numbers = next(column for _, column in frame.items() if column.dtype.kind == "f")
    assert numbers.tolist() == [1.5] * 10
    assert "left out: row 11, from '" in caplog.text


def test_a_word_among_times_in_json_is_named_where_times_are_needed(read: Read) -> None:
    rows = [*FLOWS[:5], {"q": 15, "t": "Total"}, *FLOWS[5:]]
    told = why(read, json.dumps(rows), "a.json", datatype="timeseries")
    assert '"Total" in row 6' in told
    assert '"times"' in told


@pytest.mark.parametrize("odd", ["unklar", "32.01.2020", "3.1.20", "20200103"])
def test_a_cell_among_dates_that_is_none_is_named(read: Read, odd: str) -> None:
    text = f"Datum;Wert;Art\n01.01.2020;1,5;\n{odd};2,5;\n{DAYS_OF_JANUARY}"
    told = why(read, text, times="Datum")
    assert f"{odd!r} in line 3" in told
    assert f'"missing": ["{odd}"]' in told
    frame = read(text, times="Datum", missing=[odd])
    assert frame["Datum"].isna().tolist() == [False, True] + [False] * 28
    if odd in ("unklar", "20200103"):
        assert f"{odd!r} in line 3" in read(text).attrs["remarks"]["Datum"]


def test_a_last_date_with_a_typing_error_is_no_footer(read: Read) -> None:
    text = f"Datum;Wert;Art\n{DAYS_OF_JANUARY}3O.01.2020;2,5;\n"
    frame = read(text)
    assert len(frame) == 29
    assert "'3O.01.2020' in line 30" in frame.attrs["remarks"]["Datum"]


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (("1980", "1981"), ["%Y"]),
        (("2000-01-00", "2000-02-00"), ["%Y-%m-00"]),
        (("01/02/2020 10:00", "02/02/2020 11:00"), ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"]),
        (("31.12.19", "01.01.20"), ["%d.%m.%y"]),
        (("200012", "200101"), ["%Y%m"]),
        (("2020001", "2020002"), ["%Y%j"]),
        (("12/2020", "1/2021"), ["%m/%Y"]),
    ],
)
def test_a_refusal_of_times_proposes_each_format_that_reads_them(
    read: Read, cells: tuple[str, str], formats: list[str]
) -> None:
    text = f"when,q\n{cells[0]},1.5\n{cells[1]},2.5\n"
    told = why(read, text, times={"columns": "when", "zone": "UTC"})
    proposed = re.findall(r'"times": (\{.*?\})', told)
    assert [json.loads(each)["format"] for each in proposed] == formats
    for each in proposed:
        assert str(read(text, times=json.loads(each))["when"].dtype) == "datetime64[us, UTC]"


def test_months_without_days_are_named_with_their_format(read: Read) -> None:
    text = "when,q\n2000-01-00,1.5\n2000-02-00,2.5\n"
    remark = read(text).attrs["remarks"]["when"]
    assert '"format": "%Y-%m-00"' in remark
    assert "others" not in remark


def test_a_footer_in_mid_table_is_not_left_out(read: Read) -> None:
    text = "date,flow\n2020-01-01,1\n\nMean,2\n2020-01-02,3\n"
    frame = read(text)
    assert frame["flow"].tolist() == [1, 2, 3]
    assert frame.attrs["remarks"]["date"].count("line 4") == 1


def test_records_in_json(read: Read) -> None:
    water = (
        '{"value": {"timeSeries": [{"values": [{"value": ['
        '{"value": "0.5", "qualifiers": ["P"], "dateTime": "2020-01-01T00:00:00.000-05:00"},'
        '{"value": "0.75", "qualifiers": ["P"], "dateTime": "2020-01-01T01:00:00.000-05:00"}]}]}]}}'
    )
    path = "value.timeSeries.0.values.0.value"
    assert path in why(read, water, "a.json")
    frame = read(water, "a.json", records=path)
    assert frame["value"].tolist() == [0.5, 0.75]
    assert str(frame["dateTime"].iloc[0]) == "2020-01-01 05:00:00+00:00"
    assert "value.timeSeries.1" in why(read, water, "a.json", records="value.timeSeries.1")
    speak = (
        '{"channel": {"id": 1}, "feeds": [{"created_at": "2020-01-01T00:00:00Z", "field1": "1.5"}]}'
    )
    assert '"records": "feeds"' in why(read, speak, "a.json")
    assert read(speak, "a.json", records="feeds")["field1"].tolist() == [1.5]


@pytest.mark.parametrize("key", ["value", "stored"])
def test_raw_and_stored_data_have_the_same_options(tmp_path: Path, key: str) -> None:
    import bson

    value: Any = {"data": [{"t": "01.02.2020", "q": "0.5"}, {"t": "02.02.2020", "q": "-999"}]}
    if key == "stored":
        path = tmp_path / "data.bson"
        path.write_bytes(bson.encode({"data": value}))
        value = str(path)
    options = {"records": "data", "times": "t", "missing": [-999], "datatype": "timeseries"}
    frame = load({key: value, **options}, as_path=False)
    assert [str(time) for time in frame.index] == ["2020-02-01 00:00:00", "2020-02-02 00:00:00"]
    assert frame["q"].tolist()[0] == 0.5
    assert frame["q"].isna().tolist() == [False, True]


def test_thousands_of_equal_names_are_numbered_at_once(read: Read) -> None:
    frame = read(",".join(["a"] * 8000) + "\n" + ",".join(["1.5"] * 8000) + "\n")
    assert frame.columns[-1] == "a.7999"
    assert "16384" in why(read, ",".join(["1.5"] * 17_000))


def test_a_result_uploaded_again_keeps_its_text(read: Read) -> None:
    first = read("gauge_id,flow\n01013500,3.1\n")
    assert read(first.to_csv(index=False)).equals(first)


dates = st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")).map(
    lambda time: time.strftime("%Y-%m-%d %H:%M")
)
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: f"{x:.3f}")
integers = st.integers(-(10**6), 10**6).map(str)
codes = st.from_regex(r"0[0-9]{4}", fullmatch=True)
NOT_WORDS = ("true", "false", "nan", "inf", "infinity")
letters = st.text(st.characters(codec="utf-8", categories=["L"]), min_size=1, max_size=6)
words = letters.filter(lambda word: word.lower() not in NOT_WORDS)
KINDS = {"time": dates, "number": numbers, "integer": integers, "code": codes, "word": words}


@settings(
    max_examples=fuzzed(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.data(),
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=5),
    dialect=st.tuples(
        st.sampled_from([",", ";", "\t", "|"]),
        st.sampled_from([".", ","]),
        st.sampled_from(["\n", "\r\n"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
        st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        st.integers(0, 3),
        st.booleans(),
    ),
)
def test_a_table_of_any_dialect_is_read_back_or_refused(
    read: Read, data: st.DataObject, kinds: list[str], dialect: tuple[Any, ...]
) -> None:
    separator, decimal, newline, encoding, quoting, comments, has_blanks = dialect
    strategy = st.tuples(*(KINDS[kind] for kind in kinds))
    table = data.draw(st.lists(strategy, min_size=2, max_size=8))
    blank = st.booleans() if has_blanks else st.just(False)
    cells = [["" if data.draw(blank) else cell for cell in row] for row in table]
    written = io.StringIO()
    written.write("".join(f"# comment {n}{newline}" for n in range(comments)))
    writer = csv.writer(written, delimiter=separator, lineterminator=newline, quoting=quoting)
    writer.writerow([f"{kind}_{n}" for n, kind in enumerate(kinds)])
    for row in cells:
        pairs = zip(row, kinds, strict=True)
        writer.writerow([c.replace(".", decimal) if k == "number" else c for c, k in pairs])
    try:
        frame = read(written.getvalue().encode(encoding))
    except JobNotRunnable:
        return
    assert not any(map(any, cells[len(frame) :]))  # empty rows at the end may be left out
    expected = cells[: len(frame)]
    for n, kind in enumerate(kinds):
        column = frame[f"{kind}_{n}"]
        for cell, found in zip((row[n] for row in expected), column, strict=True):
            assert _same(kind, cell, found), (kind, cell, found)


def _same(kind: str, cell: str, found: Any) -> bool:
    if not cell:
        return bool(pd.isna(found))
    if kind in ("number", "integer"):
        return bool(float(cell) == found)
    return bool(pd.Timestamp(cell) == found if kind == "time" else found == cell)


def test_files_of_other_extensions_are_text(read: Read) -> None:
    assert read("a,b\n1,2\n", "a.rdb").to_dict("list") == {"a": [1], "b": [2]}
    assert "pathlib.Path" in why(read, "a,b\n1,2\n", "a.png")


@pytest.mark.parametrize("cells", [("<0.1", "<0.2"), ("\u22125", "\u22126"), ("~5", "6 ?")])
def test_a_first_row_of_values_is_not_taken_for_units(read: Read, cells: tuple[str, str]) -> None:
    frame = read(f"a,b\n{','.join(cells)}\n0.5,0.6\n0.7,0.8\n")
    assert len(frame) == 3
    assert cells[0] in frame.attrs["remarks"]["a"]


def test_numbers_that_are_not_grouped_by_three_digits_are_told(read: Read) -> None:
    for text in ("a;b\n1.5;2\n2.25;4\n", 'a;b\n"1.00.000";1\n"2.00.000";2\n'):
        frame = read(text, thousands=".")
        assert "line 2" in frame.attrs["remarks"]["a"]
        assert "times" not in frame.attrs["remarks"]["a"]


METADATA = "file,timestamp,2024-03-01T10:00:00\ndatabase,id,river\nstation,name,Kingston\n"


def test_lines_above_a_table_that_it_was_taken_for_name_skip(read: Read) -> None:
    values = "".join(f"2020-01-{day:02},{day}.5\n" for day in range(1, 29))
    assert '"skip": 3' in why(read, METADATA + values)
    named = METADATA + "date,flow\n" + values
    assert '"skip": 4' in (told := why(read, named))
    assert "to 3 if line 4 names" in told
    assert read(named, skip=3)["flow"].sum() == read(METADATA + values, skip=3)[1].sum() == 420


def test_a_time_among_the_names_is_reported(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    read("file,timestamp,2024-03-01T10:00:00\n2020-01-01,1.5,M\n2020-01-02,2.5,M\n")
    assert '"skip": 1' in caplog.text
    caplog.clear()
    read("station,2020-01-01,2020-01-02\nA,1.5,2\nB,2.5,2\n", header=True)
    assert caplog.text == ""


def test_skip_past_the_end_names_the_lines_there_are(read: Read) -> None:
    assert "3 lines" in (told := why(read, "a,b\n1,2\n3,4\n", skip=9))
    assert '"skip"' in told
    assert "empty" in why(read, "")
    assert "comments" in why(read, "# a\n# b\n")


def test_words_above_numbers_are_units_only_if_known(read: Read) -> None:
    flags = "q,T\nIce,Ice\n1.5,2\n2.5,3\n"
    told = why(read, flags)
    assert "'Ice' in line 2" in told
    assert '"units": true' in told
    assert '"missing": ["Ice"]' in told
    assert rows(read(flags, missing=["Ice"])) == [[None, None], [1.5, 2], [2.5, 3]]
    assert read(flags, units=True).attrs["units"] == {"q": "Ice", "T": "Ice"}
    assert read(flags, units=False).attrs["remarks"].keys() == {"q", "T"}
    for units in ("m3/s,Deg C", "[mm],mm", "cfs,feet", "m³ s-1,°C", "mm,"):
        assert len(read(f"q,T\n{units}\n1.5,2\n2.5,3\n")) == 2


def test_a_comment_within_a_table_is_refused(read: Read) -> None:
    told = why(read, "date,v\n2020-01-01,2\n#2020-01-02,400\n2020-01-03,6\n")
    assert "line 3" in told


def test_a_table_far_below_comments_is_found(read: Read) -> None:
    comments = ("# " + "x" * 70 + "\n") * 951
    assert read(comments + "a,b\n1,2\n3,4\n").to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"times": {"columns": "t", "zone": "Europe"}}, "times.zone"),
        ({"times": {"columns": "t", "format": "%Q"}}, "times.format"),
        ({"times": {"columns": "t", "format": "%Y-%j-%d"}}, "times.format"),
        ({"times": {"columns": "t", "format": "%d.%m.%Y %H:%M %p"}}, "times.format"),
        ({"times": {"columns": "t", "format": "%Y-%m-%d%Y"}}, "times.format"),
        *(
            ({"times": {"columns": "t", "format": wrong}}, "times.format")
            for wrong in ("%Y %W", "%Y %U", "%Y-%m-%d %Z", "%Y %d", "%Y-%m %H", "%G %V %u")
        ),
        ({"times": []}, "times"),
        ({"thousands": ".", "decimal": "."}, "thousands"),
        ({"encoding": "utf-7"}, "encoding"),
        ({"missing": ["x"] * 200}, "missing"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], field: str) -> None:
    assert [problem.field for problem in option_problems(options)] == [field]


def test_a_wrong_format_or_zone_is_shown_with_the_forms_there_are() -> None:
    times = {"columns": "t", "format": "dd/mm/yyyy HH:MM", "zone": "CET+1"}
    problems = {each.field: each.problem for each in option_problems({"times": times})}
    assert all(code in problems["times.format"] for code in ("%Y", "%m", "%d", "%H", "%M"))
    assert "'dd/mm/yyyy HH:MM'" in problems["times.format"]
    assert all(zone in problems["times.zone"] for zone in ("Europe/Berlin", "+01:00", "'CET+1'"))


@pytest.mark.parametrize(
    ("options", "field", "meant"),
    [
        ({"seperator": ";"}, "seperator", "did you mean separator?"),
        ({"delimiter": ";"}, "delimiter", "did you mean separator?"),
        ({"skiprows": 3}, "skiprows", "did you mean skip?"),
        ({"times": {"column": "t"}}, "times.column", "did you mean columns?"),
        ({"times": {"columns": "t", "zones": "UTC"}}, "times.zones", "did you mean zone?"),
    ],
)
def test_a_misspelled_option_names_the_one_meant(
    options: dict[str, Any], field: str, meant: str
) -> None:
    (problem,) = option_problems(options)
    assert problem.field == field
    assert meant in problem.problem


def test_a_misspelled_column_names_the_one_meant(read: Read) -> None:
    told = why(read, "datum,abfluss\n2020-01-01,1\n", columns=["Abflus"])
    assert "did you mean abfluss?" in told
    assert "did you mean" not in why(read, "a,b\n1,2\n", times="when")
    assert "?." not in told


def test_a_refusal_lists_the_options_of_its_format_only(read: Read) -> None:
    listed = why(read, '{"a": {"b": 1}}', "a.json", records="b").rpartition(": ")[2].split(", ")
    assert {"records", "encoding"} < {*listed}
    assert {"separator", "skip", "sheet"}.isdisjoint(listed)
    with pytest.raises(JobNotRunnable) as refused:
        load({"value": [1], "records": "x"}, as_path=False)
    assert "encoding" not in refused.value.errors[0].problem
    (unknown,) = option_problems({"color": 1}, "data.", ".npy")
    assert unknown.problem.endswith("the options are: datatype")


def test_wrong_records_list_few_keys_and_the_one_meant(read: Read) -> None:
    value = {f"key{n}": 1 for n in range(20)} | {"x" * 500: 1, "feeds": [{"a": 1}] * 5000}
    told = why(read, json.dumps(value), "a.json", records="feed")
    assert "did you mean feeds?" in told
    assert "key9" in told
    assert "key10" not in told
    assert "{'a': 1}" not in told
    assert len(why(read, json.dumps({"x" * 500: 1}), "a.json", records="y" * 500)) < 500


@pytest.mark.parametrize(
    ("extension", "options", "refused"),
    [
        (".parquet", {"separator": ";", "columns": ["a"]}, ["separator"]),
        (".csv", {"sheet": 1, "decimal": ","}, ["sheet"]),
        (".xlsx", {"encoding": "latin-1", "separator": ";", "sheet": 1}, ["separator", "encoding"]),
        (".nc", {"records": "a", "units": True}, ["units"]),
        ("", {"skip": 1, "times": "t"}, ["skip"]),
        (".rdb", {"separator": ";", "skip": 1}, []),
    ],
)
def test_options_that_do_not_apply_to_a_format_are_refused(
    extension: str, options: dict[str, Any], refused: list[str]
) -> None:
    problems = list(option_problems(options, "data.", extension))
    assert [problem.field for problem in problems] == [f"data.{name}" for name in refused]
    for problem in problems:
        assert extension[1:] in problem.problem
        assert "columns" in problem.problem


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.csv", ".csv"),
        ("A.V1.JSON.gz", ".json"),
        ("a.csv.zip", None),
        ("a.gz", None),
        ("a", None),
    ],
)
def test_the_extension_of_a_file_is_below_its_compression(name: str, extension: str | None) -> None:
    assert extension_of(name) == extension


def test_an_option_kept_for_another_format_is_refused_on_reading(read: Read) -> None:
    told = why(read, '[{"a": 1}]', "a.json", separator=";")
    assert '"separator"' in told
    assert "records" in told


def test_blank_lines_between_all_rows_cost_little(read: Read) -> None:
    text = "t,q\n\n" + "".join(f"2020-01-01,{n}.5\n\n" for n in range(20_000))
    began = time.perf_counter()
    assert len(read(text)) == 20_000
    assert time.perf_counter() - began < 20  # each blank line once took a look at all rows above


@pytest.mark.parametrize(
    "cell", ["now", "today", "nat", "2020", "9999", "-2020", "2020-03", "20200103"]
)
def test_less_than_a_full_date_among_dates_is_never_a_time(
    read: Read, caplog: pytest.LogCaptureFixture, cell: str
) -> None:
    records = json.dumps([{"date": date} for date in (*(day[:10] for day in DAYS), cell)])
    table = f"q,date\n1,2020-01-01\n2,2020-01-02\n3,{cell}\n"
    for frame in (
        read(table),
        read(table.replace("2020-01-02", '"2020-01-02"')),
        read(records, "a.json", datatype="dataframe"),
    ):
        assert frame["date"].tolist() == ["2020-01-01", "2020-01-02", cell]
        assert repr(cell) in frame.attrs["remarks"]["date"]
    for option in ("date", {"columns": "date", "format": "%Y-%m-%d"}):
        assert f"{cell!r} in line 4" in why(read, table, times=option)


@pytest.mark.parametrize(
    ("cells", "formats"),
    [
        (["01/02/2004", "02/03/2004"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["01/02/2004,10:00", "02/03/2004,11:00"], ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"]),
        (["01/22/2004", "02/03/2004"], []),
        (["20040122", "20040203"], []),
    ],
)
def test_what_the_remark_about_dates_proposes_reads_them_at_once(
    read: Read, cells: list[str], formats: list[str]
) -> None:
    text = "date,time,q\n" if "," in cells[0] else "date,q\n"
    text += "".join(f"{cell},1.5\n" for cell in cells)
    remark = read(text).attrs["remarks"]["date"]
    shown = re.findall(r'"times": ({.*?}|".*?"|\[.*?\])', remark)
    options = [json.loads(each) for each in shown]
    assert [each["format"] for each in options if isinstance(each, dict)] == formats
    assert options
    for option in options:
        assert read(text, times=option)["date"].dt.year.tolist() == [2004, 2004]


@pytest.mark.parametrize(
    "cells", [["1", "2", "9" * 100_000], ["2020-01-01", "2020-01-02", "2020-01-03" + "0" * 100_000]]
)
def test_a_cell_of_any_length_is_cut_where_it_is_quoted(
    read: Read, caplog: pytest.LogCaptureFixture, cells: list[str]
) -> None:
    frame = read("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    assert "in line 4" in frame.attrs["remarks"]["a"]
    assert max(map(len, caplog.messages)) < 1000


def test_integers_of_any_length_are_read_exactly(read: Read) -> None:
    for digits in (25, 500):
        assert int(read(f"a,b\n{'1' * digits},1\n2,2\n")["a"].iloc[0]) == int("1" * digits)


def test_what_is_less_than_a_date_is_found_in_any_row_and_column(read: Read) -> None:
    for column, cell in itertools.product(range(3), ("now", "2020", "2020-01")):
        cells = [*["2020-01-01"] * 9_000, cell, "2020-01-01"]
        before, after = "5," * column, ",-5,-3" * (column < 2)
        frame = read("".join(f"{before}{each}{after}\n" for each in cells), header=False)
        assert frame[column].tolist() == cells


def test_thousands_of_columns_of_text_are_read_in_seconds(read: Read) -> None:
    rows = [",".join(f"{word}{n}" for n in range(4_000)) for word in ("c", "ice ", "no ice ")]
    began = time.process_time()
    frame = read("\n".join(rows))
    assert frame["c3999"].tolist() == ["ice 3999", "no ice 3999"]
    assert time.process_time() - began < 3  # typing each at length took 6


def test_lines_that_are_longer_than_the_first_bytes_of_a_file_are_seen_whole(read: Read) -> None:
    for names in (True, False):
        header = ";".join(f"{'name':100}{n}" for n in range(800)) + "\n"
        cells = [";".join([f"{cell:100}"] * 800) for cell in ("1,5", "2,5")]
        frame = read(header * names + "\n".join(cells))
        assert frame.shape == (2, 800)
        assert frame.iloc[:, [0, -1]].to_numpy().tolist() == [[1.5, 1.5], [2.5, 2.5]]


def test_a_year_far_down_in_the_column_of_times_is_refused(read: Read) -> None:
    text = "date,q\n" + "2020-01-01,1\n" * 10_000 + "2020,5\n"
    assert "'2020' in line 10002" in why(read, text, times="date")


def test_iso_times_with_a_decimal_comma_are_times(read: Read) -> None:
    frame = read("date;q\n2020-01-01 10:00:00,5;1\n2020-01-01 10:00:01,25;2\n")
    assert frame["date"].dt.microsecond.tolist() == [500_000, 250_000]


@pytest.mark.parametrize(
    ("cells", "option", "expected"),
    [
        (
            ["0", "30", "100", "2400"],
            {"columns": ["d", "t"], "format": "%Y-%m-%d %H%M"},
            ["00:00", "00:30", "01:00", "00:00"],
        ),
        (["01.02.2020 130"], {"columns": "t", "format": "%d.%m.%Y %H%M"}, None),
        (["2020111"], {"columns": "t", "format": "%Y%m%d"}, None),
        (["20201"], {"columns": "t", "format": "%Y%j"}, None),
        (["2020-2-1 0130"], {"columns": "t", "format": "%Y-%m-%d %H%M"}, ["01:30"]),
    ],
)
def test_codes_side_by_side_need_all_digits_unless_a_column_is_a_time_of_day(
    read: Read, cells: list[str], option: dict[str, Any], expected: list[str] | None
) -> None:
    text = "d,t,q\n" + "".join(f"2020-01-01,{cell},1.5\n" for cell in cells)
    if expected is None:
        assert f"{cells[0]!r} in line 2" in why(read, text, times=option)
    else:
        columns = option["columns"]
        times = read(text, times=option)[columns if isinstance(columns, str) else columns[0]]
        assert times.dt.strftime("%H:%M").tolist() == expected


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("12:30:10,5", "2020-01-01 12:30:10.500000"),
        ("24:00", "2020-01-02 00:00:00"),
        *((wrong, None) for wrong in ("12:75", "12:30:60", "25:00", "36:30", "24:01")),
    ],
)
def test_only_times_of_day_are_joined_to_a_date(
    read: Read, clock: str, expected: str | None
) -> None:
    frame = read(f"date;clock;q\n2020-01-01;{clock};1\n")
    assert ("clock" in frame) == (expected is None)
    if expected:
        assert str(frame["date"].iloc[0]) == expected
    else:
        assert f"{clock!r} in line 2" in frame.attrs["remarks"]["clock"]


AUTUMN = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [
        (AUTUMN, ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"]),
        (["01:00", "02:00", "02:00", "03:00"], ["23:00", "00:00", "01:00", "02:00"]),
        (AUTUMN[::-1], None),
        (["01:30", "02:00", "02:00", "02:30", "03:00", "03:30"], None),
        (["01:00"] * 2 + ["02:00"] * 4 + ["03:00"] * 2, None),
        ([*AUTUMN, *AUTUMN], None),
    ],
)
def test_the_hour_that_occurs_twice_is_decided_only_by_times_that_rise(
    read: Read, clocks: list[str], expected: list[str] | None
) -> None:
    text = "t,q\n" + "".join(f"2020-10-25 {clock},1.5\n" for clock in clocks)
    option = {"columns": "t", "zone": "Europe/Berlin"}
    if expected is None:
        assert '"+01:00"' in why(read, text, times=option)
    else:
        assert read(text, times=option)["t"].dt.strftime("%H:%M").tolist() == expected


def test_the_zone_applies_to_times_that_a_file_holds_as_such(read: Read) -> None:
    option = {"columns": "t", "zone": "Europe/Berlin"}

    def parquet(time: str, **more: Any) -> bytes:
        content: bytes = pd.DataFrame({"t": pd.to_datetime([time], **more)}).to_parquet()
        return content

    frame = read(parquet("2020-07-01 12:00"), "a.parquet", times=option)
    assert str(frame["t"].iloc[0]) == "2020-07-01 10:00:00+00:00"
    for content, fact in (
        (parquet("2020-10-25 02:30"), "occur twice"),
        (parquet("2020-07-01 12:00", utc=True), 'leave out "zone"'),
    ):
        with pytest.raises(JobNotRunnable) as refused:
            read(content, "a.parquet", times=option)
        assert fact in refused.value.errors[0].problem


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("station,2020-01-01,2020-01-02", ["station", "2020-01-01", "2020-01-02"]),
        ("station,01.01.2020,02.01.2020", ["station", "01.01.2020", "02.01.2020"]),
        ("lat,00:00,01:00", ["lat", "00:00", "01:00"]),
    ],
)
def test_dates_above_numbers_name_their_columns(read: Read, first: str, names: list[str]) -> None:
    frame = read(f"{first}\nA,1.5,2.5\nB,3.5,4.5\n")
    assert frame.columns.tolist() == names
    assert frame.iloc[:, 1].tolist() == [1.5, 3.5]


def test_a_single_date_above_numbers_is_asked_about(read: Read) -> None:
    text = "station,2020-01-01\nA,1.5\nB,3.5\n"
    assert '"header": true or false' in why(read, text)
    assert read(text, header=True)["2020-01-01"].tolist() == [1.5, 3.5]


def test_a_header_that_looks_like_values_is_reported(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    read("2020-01-01,1.5\n2020-01-02,2.5\n", header=True)
    assert "Line 1 names the columns" in caplog.text
    caplog.clear()
    for names in ("d,q", "station,2019", "station,2020-01-01"):
        read(f"{names}\nA,1.5\nB,2.5\n", header=True)
    assert not caplog.text


def test_parts_of_a_long_table_that_differ_make_no_difference(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = {
        "word": "5 Ice",
        "na": "1.5 NA",
        "long": f"7 {10**30}",
        "flag": "True 1",
        "zero": "5 07",
    }
    cells |= {"signs": f"{2**64 - 1} -1", "digits": f"{2**53 + 1} 1.5", "day": "2020-01-01 now"}
    names = [*cells, *(f"q{n}" for n in range(1100))]  # so wide that a part is 512 rows
    upper, lower = zip(*(pair.split() for pair in cells.values()), strict=True)
    rows = [upper] * 520 + [lower] * 5
    text = "\n".join(",".join([*row, *[""] * 1100]) for row in [tuple(cells), *rows])
    text = text.replace(text.partition("\n")[0], ",".join(names))
    whole = read(text)
    monkeypatch.setattr("jobserver.tables.row_reader._LONG", 0)
    parts = read(text)
    pd.testing.assert_frame_equal(whole, parts)
    assert whole.attrs == parts.attrs
    assert [whole[name].dtype.kind for name in cells] == [*"OfOOOOOO"]


@pytest.mark.parametrize(
    "comments",
    [
        "# date flow\n",
        "#date\tflow\n",
        "# Koblenz\n# Date, water level\n",
        "# Datum Abfluss\n# YYYY-MM-DD m3/s\n",
    ],
)
@pytest.mark.parametrize("separator", [",", ";", " "])
def test_a_comment_with_a_name_for_each_cell_names_the_columns_however_they_are_parted(
    read: Read, caplog: pytest.LogCaptureFixture, comments: str, separator: str
) -> None:
    caplog.set_level(logging.INFO)
    frame = read(f"{comments}2020-01-01{separator}1.5\n2020-01-02{separator}2.5\n")
    assert frame.columns[0].lower() in ("date", "datum")
    assert frame.columns[1] in ("flow", "water level", "Abfluss")
    assert "names the columns" in caplog.text


@pytest.mark.parametrize(
    "comment", ["Gauge Koblenz", "date of flow", "flow date", "date date", "an update", "date"]
)
def test_words_in_a_comment_that_may_be_no_names_are_not_taken_as_such(
    read: Read, comment: str
) -> None:
    frame = read(f"# {comment}\n2020-01-01,1.5\n2020-01-02,2.5\n")
    assert frame.columns.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "options", "advice"),
    [
        ("d,HH,q\n20200101,1,5\n20200101,24,6\n", {}, {"times": ["d", "HH"]}),
        ("Monat;Q\n01.2018;1,5\n02.2018;2,5\n", {"decimal": ","}, {"format": "%m.%Y"}),
        ("t,q\nx,1.5\ny,2.5\nz,-9999\n", {"missing": [-1]}, {"missing": [-1, -9999]}),
        ("t,q\nx,1.5\ny,2.5\nz,Ice\n", {"missing": [-1]}, {"missing": [-1, "Ice"]}),
    ],
)
def test_a_remark_says_what_to_set_with_all_that_is_set_already(
    read: Read,
    caplog: pytest.LogCaptureFixture,
    text: str,
    options: dict[str, Any],
    advice: dict[str, Any],
) -> None:
    read(text, **options)
    assert json.dumps(advice)[1:-1] in caplog.text


def test_no_mark_is_proposed_that_no_cell_holds(read: Read) -> None:
    remark = read("d;q\nx;205,33\ny;206,33\n", thousands=",").attrs["remarks"]["q"]
    assert remark.count("thousands") == 1


def test_the_only_list_of_records_is_named_first(read: Read) -> None:
    told = why(read, '{"channel": {"id": 9}, "feeds": [{"a": 1}]}', "a.json")
    assert told.index('"records": "feeds"') < told.index("datatype")


def test_a_long_cell_among_others_is_cut(tmp_path: Path, read: Read) -> None:
    sheet = [["d", "q"], *([day, 1.5] for day in pd.date_range("2020-01-01", periods=5))]
    pd.DataFrame([*sheet[:2], ["x" * 500, 2], *sheet[2:]]).to_excel(
        tmp_path / "b.xlsx", index=False, header=False
    )
    remark = read((tmp_path / "b.xlsx").read_bytes(), "b.xlsx").attrs["remarks"]["d"]
    assert "xxx" in remark
    assert len(remark) < 200
