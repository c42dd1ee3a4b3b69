"""Which columns the shipped scripts use, what they ask, and what they log as left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobserver.scripts import (
    baseflow,
    flow_duration_curve,
    gaps,
    plot,
    resample,
    return_periods,
    rolling,
    summary,
    water_balance,
)
from jobserver.tables.loading import load

OF_ONE_COLUMN = [flow_duration_curve, baseflow, return_periods]
WITH_TIMES = [resample, rolling, gaps, plot, baseflow, return_periods]


def gauge() -> pd.DataFrame:
    """Three days of level and flow, whose flow is text because of a cell."""
    return pd.DataFrame(
        {
            "date": pd.date_range("2020-01-01", periods=3),
            "q": ["1.5", "Ice", "2.5"],
            "site": ["a", "a", "a"],
            "level": [1.0, 2.0, 3.0],
        }
    )


def test_what_is_left_out_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    table = gauge().assign(ok=True, lag=pd.Timedelta(1, "h"), void=[None] * 3)
    assert list(summary(table)) == ["level"]
    assert caplog.messages == [
        "left out q: text, e.g. 'Ice' in row 2",
        "left out site: text, e.g. 'a' in row 1",
        "left out ok: true and false",
        "left out lag: time spans",
        "left out void: empty",
    ]
    assert {record.name for record in caplog.records} == {"jobserver"}


def test_what_the_reader_remarked_is_not_logged_again(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "gauge.csv"
    path.write_text("day,q,site\n" + "2020-01-01,1.5,a\n" * 5 + "2020-02-30,Ice,a\n", "ascii")
    table = load({"path": str(path)}, as_path=False).assign(level=1)
    summary(table)
    for cell in ("Ice", "2020-02-30"):
        assert len([text for text in caplog.messages if cell in text]) == 1
    assert caplog.messages[-1].endswith("above: day, q")
    assert "left out site: text, e.g. 'a' in row 1" in caplog.messages


def test_nothing_is_logged_where_nothing_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    summary(gauge()[["date", "level"]])
    summary(gauge(), "level")
    assert caplog.messages == []


def test_numbers_kept_as_text_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    summary(pd.DataFrame({"station": [None, "007"], "level": [1, 2]}))
    assert caplog.messages == ["left out station: text, e.g. '007' in row 2"]


def test_columns_are_chosen_by_name() -> None:
    table = gauge().assign(flow=[4, 5, 6]).rename(columns={"level": 7})
    assert list(summary(table, "7")) == ["7"]
    assert list(summary(table, ["flow", "7", "flow"])) == ["flow", "7"]
    assert list(resample(table, column=["flow"]).columns) == ["flow"]
    assert list(rolling(table, column="flow").columns) == ["flow"]
    (axes,) = plot(table, ["flow", "7"]).axes
    assert [line.get_label() for line in axes.get_lines()] == ["flow", "7"]


@pytest.mark.parametrize("script", [summary, *OF_ONE_COLUMN, *WITH_TIMES])
def test_a_column_of_text_says_which_cell(script: Any) -> None:
    with pytest.raises(ValueError, match=r"only: level \(q: text, e.g. 'Ice' in row 2\)"):
        script(gauge(), column="q")


def test_the_refusal_of_text_alone_names_its_cells() -> None:
    with pytest.raises(ValueError, match=r"\(q: text, e.g. 'Ice' in row 2; site: text"):
        summary(gauge().drop(columns="level"))


@pytest.mark.parametrize("script", OF_ONE_COLUMN)
def test_one_of_several_columns_must_be_named(script: Any) -> None:
    table = gauge().drop(columns="q").assign(flow=[4, 5, 6])
    with pytest.raises(ValueError, match=r"several columns: level, flow\. Set column to one"):
        script(table)


@pytest.mark.parametrize("script", OF_ONE_COLUMN)
def test_a_column_that_is_text_by_a_stray_cell_counts(script: Any) -> None:
    with pytest.raises(ValueError, match=r"columns: q \(text, e.g. 'Ice' in row 2\), level. Set"):
        script(gauge())


def test_codes_are_no_columns_to_choose_from(caplog: pytest.LogCaptureFixture) -> None:
    for codes in (["01013500"] * 3, ["12345678"] * 3, ["01013500", "12345678", None]):
        caplog.clear()
        table = gauge().assign(q=codes)
        assert flow_duration_curve(table)["level"].tolist() == [3.0, 2.0, 1.0]
        assert f"left out q: text, e.g. '{codes[0]}' in row 1" in caplog.messages
    for numbers in (["1", "2", "3"], ["0.5"] * 3, ["7"] * 3, ["0", "1", "Ice"], ["007", 1, 2]):
        with pytest.raises(ValueError, match=r"several columns: q \(text"):
            flow_duration_curve(gauge().assign(q=numbers))


def test_the_refusal_shows_what_to_write_into_the_job() -> None:
    with pytest.raises(ValueError, match=r'"kwargs": {"column": "level"} in "script"'):
        flow_duration_curve(gauge())
    table = gauge().drop(columns="q").assign(Δt=pd.date_range("2020-01-02", periods=3))[::-1]
    with pytest.raises(ValueError, match=r'"kwargs": {"time": "Δt"} in "script"'):
        resample(table[["Δt", "level", "date"]])


def test_labels_do_not_count_as_columns_to_choose_from() -> None:
    assert flow_duration_curve(gauge().drop(columns="q"))["level"].tolist() == [3.0, 2.0, 1.0]
    assert flow_duration_curve(gauge(), "level")["level"].tolist() == [3.0, 2.0, 1.0]


def test_cells_may_hold_lists() -> None:
    table = pd.DataFrame({"level": [1.0, 2.0], "note": [["a"], 3]})
    with pytest.raises(ValueError, match=r"level, note \(not numbers, e.g. \['a'\] in row 1\)"):
        flow_duration_curve(table)


def test_columns_of_one_name_are_not_guessed() -> None:
    table = gauge()[["level", "level"]]
    with pytest.raises(ValueError, match="2 columns are called level"):
        flow_duration_curve(table, "level")


@pytest.mark.parametrize("script", WITH_TIMES)
def test_one_of_several_columns_of_times_must_be_named(script: Any) -> None:
    table = gauge()[["date", "level"]].assign(end=pd.date_range("2020-01-02", periods=3))
    with pytest.raises(ValueError, match=r"several columns of times: date, end\. Set time to one"):
        script(table)
    with pytest.raises(ValueError, match="no column of times level, only: date, end"):
        script(table, time="level")


def test_the_named_times_are_used() -> None:
    table = gauge()[["date", "level"]].assign(end=pd.date_range("2021-01-01", periods=3))
    for time, year in (("date", 2020), ("end", 2021)):
        assert resample(table, "YS", time=time).index.year.tolist() == [year]
        assert rolling(table, time=time).index.year.tolist() == [year] * 3
        labelled = table.set_index(time)
        assert resample(labelled, "YS", time=time).index.year.tolist() == [year]
    assert resample(table.set_index("date"), "YS").index.year.tolist() == [2020]
    assert resample(table.set_index("date"), "YS", time="end").index.year.tolist() == [2021]


@pytest.mark.parametrize("script", WITH_TIMES)
def test_times_that_are_text_say_which_cell(script: Any) -> None:
    table = gauge()[["level"]].assign(date=["2020-01-01", "n/a", "2020-01-03"])
    with pytest.raises(ValueError, match=r"has no times: .* \(date: text, e.g. 'n/a' in row 2\)"):
        script(table)
    with pytest.raises(ValueError, match=r"times date \(date: text, e.g. 'n/a'") as refused:
        script(table, time="date")
    assert '"times": "date" in "data"' in str(refused.value)


def test_columns_that_were_not_read_as_times_are_read_so_by_an_option() -> None:
    table = pd.DataFrame({"Date": ["03.01.2020", "04.01.2020"], "level": [1.0, 2.0]})
    with pytest.raises(ValueError, match="no column of times Date") as refused:
        resample(table, time="Date")
    assert 'set "times": "Date" in "data"' in str(refused.value)
    assert "none" not in str(refused.value)
    with pytest.raises(ValueError, match="did you mean Date"):
        resample(table, time="date")
    table.attrs["remarks"] = {
        "Date": 'may be a time; if so, set "times": ["Date", "Time"] in "data"'
    }
    with pytest.raises(ValueError, match="no column of times Date") as refused:
        resample(table, time="Date")
    assert str(refused.value).count('set "times"') == 1


@pytest.mark.parametrize(
    ("wrong", "meant"), [("abfluss", "Abfluss [m³/s]"), ("WATER LEVEL", "Waterlevel"), ("x", None)]
)
def test_a_column_with_a_unit_or_a_similar_name_may_be_meant(wrong: str, meant: str | None) -> None:
    table = gauge().rename(columns={"level": "Abfluss [m³/s]"}).assign(Waterlevel=1.0)
    for given in (wrong, [wrong, "Waterlevel"]):
        with pytest.raises(ValueError, match=f"no numeric column {wrong}, only: ") as refused:
            summary(table, given)
        assert ("did you mean" in str(refused.value)) == (meant is not None)
        proposed = meant if given is wrong else f'{meant}", "Waterlevel'
        assert meant is None or f'{proposed}"' in str(refused.value).partition("Set ")[2]


@pytest.mark.parametrize("script", OF_ONE_COLUMN)
def test_neither_constants_nor_times_are_proposed(script: Any) -> None:
    table = gauge().drop(columns="q").assign(STN=260, MESS_DATUM=[20200101, 20200102, 20200103])
    table.attrs["remarks"] = {"MESS_DATUM": 'may be a time; if so, set "times": "MESS_DATUM"'}
    with pytest.raises(ValueError, match="STN, MESS_DATUM, level") as refused:
        script(table[["date", "STN", "MESS_DATUM", "level"]])
    assert '"kwargs": {"column": "level"}' in str(refused.value)
    with pytest.raises(ValueError, match=r'"kwargs": {"column": "STN"}'):
        script(table[["date", "STN", "MESS_DATUM"]])


def test_the_column_that_an_option_makes_numeric_comes_first() -> None:
    others = {f"site{n}": ["a", "b"] for n in range(5)}
    table = pd.DataFrame({**others, "69928_00060": ["1.5", "Eqp"]})
    table.attrs["remarks"] = {
        "69928_00060": """is text, as 'Eqp' in line 9 is not a number; set "missing": ["Eqp"]""",
        "site0": """'a' in line 8 may be a time; if so, set "times": "site0".""",
    }
    with pytest.raises(ValueError, match="no numeric column") as refused:
        summary(table)
    assert """(69928_00060 is text, as 'Eqp' in line 9 is not""" in str(refused.value)
    assert "bind a table" not in str(refused.value)
    assert "site" not in str(refused.value)
    table.attrs = {}
    with pytest.raises(ValueError, match=r"bind a table with at least one.*; and 3 more\)"):
        summary(table)


def test_rows_without_a_time_are_counted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    table = gauge()[["date", "level"]].astype({"date": object})
    table["date"] = pd.to_datetime([None, "2020-01-01", None])
    assert rolling(table)["level"].tolist() == [2.0]
    assert "left out rows without a time: 2, the first is row 1" in caplog.messages


def test_times_that_occur_twice_are_logged_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    table = gauge()[["date", "level"]].assign(date=pd.to_datetime(["2020", "2020", "2021"]))
    assert resample(table, "YS", "sum")["level"].tolist() == [3.0, 3.0]
    assert "rows with the time of another row: 1; all are used" in caplog.messages
    for script in (baseflow, return_periods):
        with pytest.raises(ValueError, match="rows with the time of another row: 1, such as 2020"):
            script(table)


@pytest.mark.parametrize(
    ("cells", "way_out"),
    [
        (["00:00", "12:00", "00:00", "12:00"], '"times": ["date", "gauge"] in "data"'),
        (["A", "B", "A", "B"], '"over": {"groups": "gauge"}'),
        ([310, 260, 310, 260], '"over": {"groups": "gauge"}'),
        (["A", "B", "A", None], None),
        ([120, 121, 122, 123], None),
        ([0.5, 1.5, 0.5, 1.5], None),
        (["A", "A", "A", "A"], None),
        ([["A"], ["B"], ["A"], ["B"]], None),
    ],
)
def test_a_column_that_tells_rows_of_one_time_apart_is_named(
    cells: list[Any], way_out: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    times = pd.to_datetime(["2020-01-01", "2020-01-01", "2020-01-02", "2020-01-02"])
    table = pd.DataFrame({"date": times, "level": [1.0, 2.0, 3.0, 4.0], "gauge": cells})
    resample(table, column="level")
    with pytest.raises(ValueError, match=r"another row: 2, such as 2020-01-01[^ ]") as refused:
        baseflow(table, "level")
    for text in (caplog.text, str(refused.value)):
        assert ("gauge" in text) == (way_out is not None)
        assert way_out is None or way_out in text
    assert caplog.text.count("all are used") == 1  # not by the script that refuses


def test_hours_beside_a_date_are_proposed_as_times() -> None:
    days = pd.date_range("2020-01-01", periods=2).repeat(24)
    table = pd.DataFrame({"YYYYMMDD": days, "HH": [*range(1, 25)] * 2, "RH": 0.5})
    with pytest.raises(ValueError, match=r'"times": \["YYYYMMDD", "HH"\] in "data"'):
        baseflow(table, "RH")


def test_rows_of_one_time_keep_their_order() -> None:
    values = np.arange(100.0)
    table = pd.DataFrame({"date": pd.to_datetime(["2020"] * 100), "value": values})
    assert rolling(table, how="max")["value"].tolist() == values.tolist()


@pytest.mark.parametrize(
    "script",
    [
        flow_duration_curve,
        baseflow,
        return_periods,
        partial(water_balance, precipitation="p", flow="q"),
    ],
)
def test_scripts_of_flow_refuse_a_code_of_missing_values(script: Any) -> None:
    table = pd.DataFrame({"q": [1.0, -999.0, 2.0, -999.0]}, pd.date_range("2020", periods=4))
    balanced = table.assign(p=1.0) if isinstance(script, partial) else table
    with pytest.raises(ValueError, match=r'negative flows: 2, such as -999.*"missing": \[-999\]'):
        script(balanced)
    assert summary(table)["q"]["min"] == -999.0


def test_negative_precipitation_is_refused() -> None:
    table = pd.DataFrame({"q": 1.0, "p": [1.0, -9.0]}, pd.date_range("2020", periods=2))
    with pytest.raises(ValueError, match="negative values of precipitation: 1, such as -9 at 2020"):
        water_balance(table, "p", "q")


def test_only_codes_are_proposed_as_missing() -> None:
    days = pd.date_range("2020", periods=2)
    for least in (-99.0, -9999.0, -999.9, -9.99, -7777.0, -888.8, -32768.0):
        with pytest.raises(ValueError, match=f'"missing": \\[{least:g}\\] in "data".*all columns'):
            flow_duration_curve([1.0, least])
    rain = pd.DataFrame({"q": 1.0, "p": [1.0, -1.0]}, days)
    with pytest.raises(ValueError, match=r"KNMI's -1 for less than.*all columns") as refused:
        water_balance(rain, "p", "q")
    assert '"missing": [' not in str(refused.value)
    for least in (-0.02, -9.0, -1.0, -90.0):
        with pytest.raises(ValueError, match=f"such as {least:g} in row 2.*backflow") as refused:
            flow_duration_curve([1.0, least])
        assert '"missing": [' not in str(refused.value)


def test_rows_are_counted_from_1() -> None:
    with pytest.raises(ValueError, match=r"negative flows: 2, such as -0\.02 in row 4\."):
        flow_duration_curve([3.0, np.nan, -0.01, -0.02, 1.0])
    with pytest.raises(ValueError, match="infinite values in value: 1, the first in row 2"):
        flow_duration_curve([3.0, np.inf])
