"""Numbers that can be read in two ways, and what makes a column text."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobserver.errors import JobNotRunnable
from jobserver.tables.cells import MISSING

Read = Callable[..., Any]
DAYS = ["01.02.2020", "02.02.2020"]


def why(read: Read, text: str, **options: Any) -> str:
    """Return why a table is refused."""
    with pytest.raises(JobNotRunnable) as refused:
        read(text, **options)
    return refused.value.errors[0].problem


def remark(read: Read, text: str, column: str, **options: Any) -> str:
    """Return why a column is text."""
    found: str = read(text, **options).attrs["remarks"][column]
    return found


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize(
    "text",
    [
        "Datum;Abfluss\n01.02.2020;1{}250\n02.02.2020;3{}400\n",
        "Datum\tAbfluss\n01.02.2020\t1{}250\n02.02.2020\t3{}400\n",
        "a;b\n1{}250;NA\n3{}400;1{}000\n",
        "clock;q\n12:30;1{}250\n13:30;3{}400\n",
    ],
)
def test_a_mark_before_three_digits_is_asked_about(read: Read, text: str, mark: str) -> None:
    told = why(read, text.replace("{}", mark))
    assert f"1{mark}250 in line 2" in told
    assert f'"decimal": "{mark}"' in told
    assert f'"thousands": "{mark}"' in told


@pytest.mark.parametrize("thousands", [".", ","])
def test_either_answer_is_taken(read: Read, thousands: str) -> None:
    text = f"a;b\n1{thousands}250;1\n3{thousands}400;2\n"
    assert read(text, thousands=thousands)["a"].tolist() == [1250, 3400]
    assert read(text, decimal=thousands)["a"].tolist() == [1.25, 3.4]


@pytest.mark.parametrize(
    "proof", ["0.123", "-0.500", "1.5", "1250.125", "1.250e3", ".250", "-999.000"]
)
def test_a_number_that_has_decimals_for_certain_settles_the_others(read: Read, proof: str) -> None:
    assert read(f"a;b\n1.250;5\n3.400;{proof}\n")["a"].tolist() == [1.25, 3.4]


@pytest.mark.parametrize(
    "text",
    [
        "Datum,Abfluss\n01.02.2020,1.250\n02.02.2020,3.400\n",
        "Datum\tAbfluss\n2020-02-01\t1.250\n2020-02-02\t3.400\n",
        "Datum Abfluss\n2020-02-01 1.250\n2020-02-02 3.400\n",
    ],
)
def test_three_decimals_are_not_asked_about_where_points_are_usual(read: Read, text: str) -> None:
    assert read(text)["Abfluss"].tolist() == [1.25, 3.4]


def test_the_whole_file_shows_whether_points_are_decimal(read: Read) -> None:
    text = "a;b\n" + "850;x\n" * 20_000 + "1.250;y\n"
    assert "1.250 in line 20002" in why(read, text)
    assert read(text + "0.5;z\n")["a"].tolist()[-2:] == [1.25, 0.5]


def test_columns_that_are_not_numbers_say_nothing_about_points(read: Read) -> None:
    text = "Datum;Uhr;Q\n01.02.2020;12.30;1.250\n02.02.2020;13.30;3.400\n"
    times = {"columns": ["Datum", "Uhr"], "format": "%d.%m.%Y %H.%M"}
    assert "1.250 in line 2" in why(read, text, times=times)
    assert read("a;version\n5;1.250\n6;1.300\n", text=["version"])["version"].tolist() == [
        *("1.250", "1.300")
    ]


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        ("1.250.000", '"thousands": "."'),
        ("1.177,55", '"thousands": ".", "decimal": ","'),
        ("1,177.55", '"thousands": ","'),
    ],
)
def test_grouped_digits_name_the_settings_that_read_them(
    read: Read, cell: str, settings: str
) -> None:
    assert f"set {settings}" in why(read, f"a;b\n{cell};1\n2;2\n")
    late = "a;b\n" + "850;1\n" * 20_000 + f"{cell};1\n"
    assert f"'{cell}' in line 20002" in (told := remark(read, late, "a"))
    assert f"set {settings}" in told


@pytest.mark.parametrize(
    ("cells", "settings"),
    [
        (("12,5", "1.250"), 'set "thousands": ".", "decimal": "," in'),
        (("12.5", "1,250"), 'set "thousands": "," in'),
        (("12.5", "1,25"), '"decimal": ","'),
    ],
)
def test_points_and_commas_name_the_settings_that_read_both(
    read: Read, cells: tuple[str, str], settings: str
) -> None:
    told = why(read, f"a;b\n{cells[0]};1\n{cells[1]};2\n")
    assert "line" in told
    assert settings in told


@pytest.mark.parametrize(
    ("cell", "facts"),
    [
        ("Ice", ["'Ice' in line 3", 'set "missing": ["Ice"]']),
        ("2*", ["'2*' in line 3", 'fix it, or set "missing": ["2*"]']),
        ("1,5", ["'1,5'", 'set "decimal": ","']),
        ("1,250", ["'1,250'", '"decimal": ","', '"thousands": ","']),
        ("1 250", ['set "thousands": " "']),
        ("1 250,5", ['set "thousands": " ", "decimal": ","']),
    ],
)
def test_a_cell_that_makes_a_column_text_comes_with_its_remedy(
    read: Read, cell: str, facts: list[str]
) -> None:
    late = "".join(f"{n};1\n" for n in range(200)) + f"{cell};1\n"
    told = remark(read, f"a;b\n850;1\n{cell};1\n" if cell in ("Ice", "2*") else f"a;b\n{late}", "a")
    assert [fact for fact in facts if fact not in told] == []


def test_an_impossible_date_comes_with_its_remedy(read: Read) -> None:
    told = remark(read, "t,q\n2020-01-01,1\n2020-02-30,2\n2020-01-03,3\n", "t")
    assert "'2020-02-30' in line 3" in told
    assert '"missing": ["2020-02-30"]' in told


def test_many_different_words_are_not_advised_to_be_missing_values(read: Read) -> None:
    words = "".join(f"{n};1\nword{n};1\n" for n in range(20))
    assert '"missing"' not in remark(read, f"a;b\n1;1\n{words}", "a")


def test_numbers_of_json_stay_what_they_are_beside_text(read: Read) -> None:
    frame = read('[{"q": 1.125}, {"q": "1.250"}, {"q": 3}]', "a.json", thousands=".")
    assert frame["q"].tolist() == [1.125, 1250, 3]
    frame = read('[{"q": 1.125}, {"q": "1.5"}, {"q": "1,5"}]', "a.json", thousands=".")
    assert "'1.5' in row 2" in frame.attrs["remarks"]["q"]
    assert frame["q"].tolist() == ["1.125", "1.5", "1,5"]


def test_points_in_text_of_json_are_asked_about_beside_german_dates(read: Read) -> None:
    rows = '[{"t": "01.02.2020", "q": "1.250", "x": null}, {"t": "02.02.2020", "q": "%s"}]'
    assert "1.250 in row 1" in why(read, rows % "3.400", name="a.json")
    assert read(rows % "3.4", "a.json")["q"].tolist() == [1.25, 3.4]
    assert read(rows % "3.400", "a.json", decimal=".")["q"].tolist() == [1.25, 3.4]
    iso = rows.replace("01.02.2020", "2020-02-01").replace("02.02.2020", "2020-02-02")
    assert read(iso % "3.400", "a.json")["q"].tolist() == [1.25, 3.4]
    labelled = '{"t": {"a": "01.02.2020", "b": "02.02.2020"}, "q": {"a": null, "b": "3.400"}}'
    assert "3.400 in row 2" in why(read, labelled, name="a.json")


@pytest.mark.parametrize("beside", ["2", "NA", "", "1.5"])
@pytest.mark.parametrize("cell", ["1e400", "-1e400", "9007199254740993"])
def test_numbers_that_floats_cannot_hold_stay_text(read: Read, cell: str, beside: str) -> None:
    frame = read(f"a,b\n{beside},1\n{cell},2\n")
    if cell == "9007199254740993" and beside == "2":
        assert frame["a"].tolist() == [2, 9007199254740993]
        return
    assert frame["a"].tolist()[1] == cell
    assert f"{cell}" in (told := frame.attrs["remarks"]["a"])
    assert "line 3" in told
    assert f'"missing": ["{cell}"]' in told or "e400" not in cell


def test_integers_of_json_keep_their_digits_beside_a_missing_one(read: Read) -> None:
    rows = '[{"a": 9007199254740993, "b": 1}, {"a": null, "b": null}]'
    frame = read(rows, "a.json")
    assert frame["a"].tolist() == [9007199254740993, None]
    assert frame["b"].tolist()[0] == 1


def test_infinity_is_reported(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    assert read("a,b\ninf,1\n2,2\n")["a"].tolist() == [float("inf"), 2]
    assert read('[{"q": 1e400}, {"q": 2}]', "a.json")["q"].tolist() == [float("inf"), 2]
    assert "The column a: infinite in 1 row" in caplog.text
    assert "The column q: infinite in 1 row" in caplog.text


def test_years_without_a_century_are_asked_about(read: Read) -> None:
    text = "y,m,d,q\n20,1,2,5\n21,1,3,6\n"
    assert "20 in line 2" in (told := why(read, text, times=[*"ymd"]))
    assert '"%y %m %d"' in told
    frame = read(text, times={"columns": [*"ymd"], "format": "%y %m %d"})
    assert frame["y"].dt.year.tolist() == [2020, 2021]
    assert "0020" in why(read, text.replace("20,", "0020,"), times=[*"ymd"])


def test_words_for_missing_values_leave_a_column_numbers(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    frame = read("a,b,c,d\n1.5,NA,x,NA\n-,2,NA,NA\n--,N/A,y,NA\n,3,z,NA\n")
    assert [frame[name].isna().tolist() for name in "ab"] == [
        *([False, True, True, True], [True, False, True, False])
    ]
    assert frame["c"].tolist() == ["x", "NA", "y", "z"]
    assert frame["d"].tolist() == ["NA"] * 4
    assert "a: 2 cells taken as missing: -, --" in caplog.text
    assert "b: 2 cells taken as missing: N/A, NA" in caplog.text


def test_a_table_of_10_000_columns_is_read(read: Read) -> None:
    cells = [f"{n}.5" for n in range(10_000)]
    names = [f"q{n}" for n in range(10_000)]
    frame = read("\n".join(map(",".join, [names, cells, ["NA", *cells[1:]]])))
    assert frame.iloc[0].tolist() == [n + 0.5 for n in range(10_000)]
    assert frame["q0"].isna().tolist() == [False, True]


def test_records_with_too_many_keys_are_refused(read: Read) -> None:
    record = json.dumps([{f"q{n}": n for n in range(20_000)}])
    assert "16384" in why(read, record, name="a.json")


def test_the_log_names_some_of_many_columns_that_are_text(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"q{n}" for n in range(60)]
    frame = read("\n".join(map(",".join, [names, ["1"] * 60, ["2"] * 60, ["x"] * 60])))
    assert len(frame.attrs["remarks"]) == 60
    assert len(caplog.messages) == 51
    assert "10 other columns" in caplog.text


def test_the_words_for_missing_values_are_documented(read: Read) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "tables.md").read_text("utf-8")
    listed = guide.partition("empty cells and")[2].partition("Elsewhere")[0]
    words = re.findall(r"`([^`]+)`", listed)
    assert {*words} == MISSING
    for below in ("1.5", "2020-01-01"):
        frame = read("\n".join(["b,a", f"x,{below}", *(f'"{word}",{word}' for word in words)]))
        assert frame["a"].isna().sum() == len(words)
        assert frame["b"].tolist() == ["x", *words]


@pytest.mark.parametrize("mark", [" ", "'", "\u00a0", "\u202f"])
def test_the_advice_to_set_a_mark_of_thousands_works_beside_decimal_commas(
    read: Read, caplog: pytest.LogCaptureFixture, mark: str
) -> None:
    text = f"a;b\n1{mark}250,5;1,5\n250,5;2,5\n"
    assert read(text)["a"].tolist() == [f"1{mark}250,5", "250,5"]
    advised = re.search(r'set ({?"thousands": "[^"]+")', caplog.text)
    assert advised
    options = json.loads(f"{{{advised[1]}}}")
    assert options == {"thousands": mark}
    assert read(text, **options).to_numpy().tolist() == [[1250.5, 1.5], [250.5, 2.5]]


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        ('q,b\n"-9,999.0",1\n"1,250.5",2\n', "a.csv", {"thousands": ",", "missing": [-9999]}),
        ('{"q": ["-999.0", "1250.5"]}', "a.json", {"missing": [-999]}),
    ],
)
def test_missing_numbers_are_found_however_they_are_written(
    read: Read, content: str, name: str, options: dict[str, Any]
) -> None:
    frame = read(content, name, datatype="dataframe", **options)
    assert frame["q"].isna().tolist() == [True, False]
    assert frame["q"].iloc[1] == 1250.5


def test_a_missing_1_is_not_true(read: Read) -> None:
    frame = read('{"a": [true, null], "b": [true, false], "c": [1, 2]}', "a.json", missing=[1])
    assert frame["a"].tolist() == [True, None]
    assert frame["b"].tolist() == [True, False]
    assert frame["c"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    "cell",
    ["9,99999999999E+11", "999999999999", "1e+20", "-3,4028235e+38", "-3,4028234663852886e+38"],
)
def test_a_code_that_is_too_large_to_be_measured_is_reported_with_an_option_that_works(
    read: Read, caplog: pytest.LogCaptureFixture, cell: str
) -> None:
    text = f"d;q\n2020-01-01;1,5\n2020-01-02;{cell}\n2020-01-03;2,5\n"
    read(text)
    (line,) = [record.getMessage() for record in caplog.records]
    (advice,) = re.findall(r'set ("missing": .*) in "data"', line)
    assert read(text, **json.loads(f"{{{advice}}}"))["q"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("d,q\n2020-01-01,1,5\n2020-01-02,3,5\n", {}),
        ("d,q\n2020-01-01,1,5\n2020-01-02,3,5\n", {"decimal": ","}),
        ("d,q\n2020-01-01,1,5\n2020-01-02,3,5\n", {"decimal": ",", "separator": ","}),
        ("d,q\n2020-01-01,1,234\n2020-01-02,1,235\n", {}),
        ("d,q\n2020-01-01,1,234\n2020-01-02,1,235\n", {"thousands": ","}),
        ("2020-01-01,1,5\n2020-01-02,3,5\n", {"decimal": ","}),
    ],
)
def test_a_comma_that_parts_cells_or_belongs_to_a_number_is_asked_about(
    read: Read, text: str, options: dict[str, Any]
) -> None:
    refusal = why(read, text, **options)
    assert text.splitlines()[-2] in refusal
    assert '"separator": ","' in refusal
    assert all(f'leave out "{name}"' in refusal for name in options if name != "separator")


def test_commas_that_certainly_part_cells_are_not_asked_about(read: Read) -> None:
    labelled = read("d,q\n2020-01-01,1,5\n2020-01-02,3,5\n", separator=",")
    assert (labelled["d"].tolist(), labelled["q"].tolist()) == ([1, 3], [5, 5])
    assert read("d,q\n1,1,5\n2,3,5\n")["q"].tolist() == [5, 5]  # the row numbers of R
    assert read('d,q\n2020-01-01,"1,5"\n2020-01-02,3\n', decimal=",")["q"].tolist() == [1.5, 3]
    assert read("d,q,h\n2020-01-01,1,5\n", decimal=",")["h"].tolist() == [5]


@pytest.mark.parametrize("long", [str(2**64 + 1), "-" + str(2**64 + 1), "9" * 400])
@pytest.mark.parametrize("others", [["1", "2"], ["1", ""], ["0.5", "2"]])
def test_integers_beyond_64_bits_are_named(read: Read, long: str, others: list[str]) -> None:
    for first in ("q,d", "d,q"):
        cells = [f"{cell},x" if first == "q,d" else f"x,{cell}" for cell in (long, *others)]
        assert f"{long}"[:20] in remark(read, "\n".join([first, *cells]), "q")


def test_integers_of_which_no_type_of_64_bits_holds_all_are_named(read: Read) -> None:
    assert str(2**64 - 1) in remark(read, f"q,a\n{2**64 - 1},x\n-1,y\n", "q")
    told = remark(read, json.dumps([{"q": 2**64 - 1}, {"q": -1}]), "q", name="a.json")
    assert f"{2**64 - 1} in row 1" in told


@pytest.mark.parametrize("cells", [[1.5, True, 2.5], [10**30, 1], ["x", "y", False]])
def test_cells_that_make_a_column_of_json_python_objects_are_named(
    read: Read, cells: list[object]
) -> None:
    told = remark(read, json.dumps([{"q": cell} for cell in cells]), "q", name="a.json")
    odd = next(cell for cell in cells if isinstance(cell, bool) or cell == 10**30)
    assert f"{odd}" in told


def test_groups_of_digits_with_a_swiss_apostrophe_are_named_and_read(read: Read) -> None:
    text = "d;q\n2020-01-01;1’234.5\n2020-01-02;2’345.5\n"
    assert '"thousands": "’"' in remark(read, text, "q")
    assert read(text, thousands="’")["q"].tolist() == [1234.5, 2345.5]


@pytest.mark.parametrize("separator", ["\t", "|"])
def test_a_number_with_two_points_anywhere_casts_doubt_on_all_points(
    read: Read, separator: str
) -> None:
    text = "date,a,b\n" + "2020-01-01,1.250,3.500\n" * 200
    assert read(text.replace(",", separator))["a"].tolist() == [1.25] * 200
    text = (text + "2020-01-02,1.234.567,2.500\n").replace(",", separator)
    told = why(read, text)
    assert "3.500 in line 2" in told
    assert '"thousands": "."' in told
    assert read(text, thousands=".")["b"].iloc[-1] == 2500
    assert read(text, text=["a"])["b"].iloc[-1] == 2.5
    proven = text.replace("3.500", "3.5")
    assert read(proven)["b"].iloc[0] == 3.5
    assert "1.234.567" in remark(read, proven, "a")
