"""The shipped scripts beside summary, against values worked out by hand or from their sources."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.encoding import encode_result
from jobserver.scripts import baseflow, flow_duration_curve, gaps, plot, resample, rolling
from jobserver.scripts.registry import Registry, ScriptSources

START = datetime(2020, 1, 31, 22)


def hourly(values: list[Any], start: datetime = START) -> pd.DataFrame:
    """A table with a value for each hour."""
    times = [start + timedelta(hours=place) for place in range(len(values))]
    return pd.DataFrame({"date": times, "site": ["a"] * len(values), "value": values})


def test_resample_takes_each_period_by_itself() -> None:
    data = hourly([1.0, 3.0, 5.0, None, 10.0])
    daily = resample(data)
    assert [str(day.date()) for day in daily.index] == ["2020-01-31", "2020-02-01"]
    assert daily["value"].tolist() == [2.0, 7.5]
    assert list(daily.columns) == ["value"]
    assert resample(data, "MS", "sum")["value"].tolist() == [4.0, 15.0]
    assert resample(data, "YS", "count")["value"].tolist() == [4]
    assert resample(data, "1D", "max")["value"].tolist() == [3.0, 10.0]
    assert resample(data, "1D", "std")["value"].tolist() == pytest.approx([2**0.5, 12.5**0.5])


def test_resample_leaves_a_period_without_values_missing() -> None:
    data = hourly([1.0, 2.0]).assign(date=[START, START + timedelta(days=2)])
    for how in ("mean", "sum"):
        found = resample(data, "1D", how)["value"]
        assert found.iloc[[0, 2]].tolist() == [1.0, 2.0]
        assert np.isnan(found.iloc[1])


def daily(values: list[Any], start: str = "2020-01-01") -> pd.DataFrame:
    """A table with a value for each day."""
    return pd.DataFrame({"date": pd.date_range(start, periods=len(values)), "value": values})


@pytest.mark.parametrize(
    ("period", "start"),
    [
        *(("W", "2019-12-30"), ("1W", "2019-12-30"), ("W-SUN", "2019-12-30")),
        *(("W-SAT", "2019-12-29"), ("2W-TUE", "2020-01-01"), ("MS", "2020-01-01")),
        *(("ME", "2020-01-01"), ("QE", "2020-01-01"), ("QE-OCT", "2019-11-01")),
        *(("QS-NOV", "2019-11-01"), ("YE", "2020-01-01"), ("YE-OCT", "2019-11-01")),
        *(("YS-NOV", "2019-11-01"), ("2YE-SEP", "2019-10-01"), ("7D", "2020-01-01")),
    ],
)
def test_each_period_is_labelled_with_its_start(period: str, start: str) -> None:
    found = resample(daily([1.0, 2.0]), period, "sum")
    assert found.index.tolist() == [pd.Timestamp(start)]
    assert found["value"].tolist() == [3.0]


def test_a_hydrological_year_ends_with_its_last_day() -> None:
    data = daily([1.0, 2.0, 3.0], "2020-10-30")
    for period in ("YE-OCT", "YS-NOV"):
        found = resample(data, period, "sum")["value"]
        assert found.index.year.tolist() == [2019, 2020]
        assert found.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("period", ["B", "BME", "SMS", "SME", "BQE", "BYS", "C", "M", "Y", "-1D"])
def test_periods_without_a_clear_start_are_refused(period: str) -> None:
    with pytest.raises(ValueError, match="not a valid period: write 15min"):
        resample(daily([1.0, 2.0]), period)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("month", "MS"), ("Monthly", "MS"), ("M", "MS"), ("1M", "MS"), ("3 months", "3MS")),
        *(("Y", "YS"), ("annual", "YS"), ("daily", "D"), ("2 days", "2D"), ("24H", "24h")),
        *(("15 min", "15min"), ("quarterly", "QS"), ("weekly", "W"), ("10M", "10MS")),
        *(("B", None), ("BME", None), ("-1D", None), ("", None), ("x" * 99, None)),
    ],
)
def test_a_period_in_other_words_is_understood(written: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match=r"MS \(months\)") as refused:
        resample(daily([1.0]), written)
    assert str(refused.value).partition("did you mean ")[2] == (f"{meant}?" if meant else "")
    assert meant is None or resample(daily([1.0]), meant)["value"].sum() == 1.0


def test_days_of_a_zone_have_23_to_25_hours(caplog: pytest.LogCaptureFixture) -> None:
    spring = pd.date_range("2021-03-26 23:00", periods=71, freq="h", tz="UTC")
    autumn = pd.date_range("2021-10-29 22:00", periods=73, freq="h", tz="UTC")
    for times, hours in ((spring, [24.0, 23.0, 24.0]), (autumn, [24.0, 25.0, 24.0])):
        for known in (times, times.tz_localize(None), times.tz_convert("Asia/Tokyo")):
            data = pd.DataFrame({"value": 1.0}, known)
            found = resample(data, "1D", "sum", zone="Europe/Berlin", coverage=1.0)
            assert found["value"].tolist() == hours
            assert found.index.tolist() == [
                times[0].tz_convert("Europe/Berlin").tz_localize(None) + pd.Timedelta(days=day)
                for day in range(3)
            ]
    assert caplog.messages == []


def test_a_day_of_a_zone_may_begin_after_midnight() -> None:
    # Clocks in Beirut went from 24:00 to 01:00 in this night.
    times = pd.date_range("2022-03-26 22:00", periods=23, freq="h", tz="UTC")
    found = resample(pd.DataFrame({"value": 1.0}, times), zone="Asia/Beirut", coverage=1.0)
    assert found.index.tolist() == [pd.Timestamp("2022-03-27")]
    assert found["value"].tolist() == [1.0]


def test_without_a_zone_days_are_those_of_the_times() -> None:
    times = pd.date_range("2021-03-27 22:00", periods=4, freq="h", tz="UTC")
    found = resample(pd.DataFrame({"value": 1.0}, times), "1D", "sum")
    assert found.index.tolist() == [
        pd.Timestamp(day, tz="UTC") for day in ("2021-03-27", "2021-03-28")
    ]
    assert found["value"].tolist() == [2.0, 2.0]


def test_a_zone_is_for_days_and_must_exist() -> None:
    for period in ("1h", "15min", "24h"):
        with pytest.raises(ValueError, match="zone is for days and longer periods"):
            resample(hourly([1.0]), period, zone="Europe/Berlin")
    for zone in ("Mars", "", "/etc/passwd", "../UTC", "Europe"):
        with pytest.raises(ValueError, match="unknown: write an IANA name"):
            resample(hourly([1.0]), zone=zone)


def test_two_of_31_days_can_be_no_month(caplog: pytest.LogCaptureFixture) -> None:
    data = daily([1.0] * 31 + [2.0] * 2)
    assert resample(data, "MS", "sum")["value"].tolist() == [31.0, 4.0]
    assert "some of the values: 1 of 2 periods, such as 2020-02-01 with 2 of 29" in caplog.text
    caplog.clear()
    for limit in ({"min_count": 3}, {"coverage": 0.9}, {"coverage": 1.0}):
        found = resample(data, "MS", "sum", **limit)["value"]
        assert found.iloc[0] == 31.0
        assert np.isnan(found.iloc[1])
        assert resample(data, "MS", "count", **limit)["value"].tolist() == [31, 2]
    assert caplog.messages == ["left missing for too few values: 1 of 2 periods"] * 3


def test_a_limit_is_advised_only_where_none_is_set(caplog: pytest.LogCaptureFixture) -> None:
    data = daily([1.0] * 20, "2020-04-01")
    for limit in ({"min_count": 3}, {"coverage": 0.5}, {}):
        caplog.clear()
        resample(data, "MS", **limit)
        (line,) = caplog.messages
        assert "some of the values: 1 of 1 periods" in line
        assert ('"kwargs": {"coverage": 0.9} in "script"' in line) == (not limit)


def test_coverage_counts_each_column_against_the_complete_period() -> None:
    table = daily([1.0] * 30, "2020-04-01").assign(half=[1.0, None] * 15)
    found = resample(table, "MS", coverage=0.5)
    assert found.to_numpy().tolist() == [[1.0, 1.0]]
    assert resample(table, "MS", coverage=0.51).isna().to_numpy().tolist() == [[False, True]]
    ten = daily([1.0] * 7 + [None] * 3)
    assert resample(ten, "10D", coverage=0.7)["value"].tolist() == [1.0]  # 0.7 * 10 > 7 in binary


def stations(**columns: Any) -> pd.DataFrame:
    """Two stations, of which each lacks the first half of February."""
    days = pd.date_range("2020-01-01", "2020-03-31")
    days = days[~((days.month == 2) & (days.day < 15))]
    table = pd.DataFrame({"date": days.append(days), "flow": [5.0] * 77 + [100.0] * 77})
    return table.assign(station=["A"] * 77 + ["B"] * 77, **columns)


def test_the_rows_of_another_station_fill_no_gap() -> None:
    for script, column in ((resample, "station"), (rolling, "station"), (resample, "id")):
        table = stations(id=[7] * 77 + [12] * 77)
        table = table if column == "station" else table.drop(columns="station")
        with pytest.raises(ValueError, match="coverage needs one row for each time") as refused:
            script(table, "MS" if script is resample else "7D", coverage=0.9, column="flow")
        assert f'"type": "map", "over": {{"groups": "{column}"}}' in str(refused.value)


def test_values_of_one_time_count_once(caplog: pytest.LogCaptureFixture) -> None:
    table = stations().drop(columns="station")
    for limit in ({"coverage": 0.9}, {"min_count": 16}):
        found = resample(table, "MS", **limit)["flow"]
        assert found.isna().tolist() == [False, True, False]
    assert resample(table, "MS", min_count=15)["flow"].notna().all()
    assert resample(table, "MS", "count")["flow"].tolist() == [62, 30, 62]
    assert "rows with the time of another row: 77" in caplog.text
    caplog.clear()
    resample(table, "MS")
    assert "such as 2020-02-01 with 15 of 29" in caplog.text
    smooth = rolling(table, "7D", min_count=7)["flow"].groupby(level=0).last()
    assert smooth.index[smooth.isna()].day.tolist() == [*range(1, 7), *range(15, 21)]


def test_an_empty_value_beside_one_of_the_same_time_does_not_count_against_it() -> None:
    table = daily([None, None, 1.0, 2.0]).assign(date=pd.to_datetime(["2020", "2021"] * 2))
    assert resample(table, "YS", min_count=1)["value"].tolist() == [1.0, 2.0]
    assert rolling(table, "1D", coverage=None, min_count=1)["value"].notna().sum() == 2


def test_months_make_complete_years() -> None:
    times = pd.date_range("2019-01-01", periods=23, freq="MS")
    found = resample(pd.DataFrame({"value": 1.0}, times), "YS", "sum", coverage=1.0)["value"]
    assert found.iloc[0] == 12.0
    assert np.isnan(found.iloc[1])


def test_coverage_needs_a_regular_step() -> None:
    times = pd.to_datetime(["2020-01-01", "2020-01-03", "2020-01-09", "2020-01-17"])
    for script in (resample, rolling):
        with pytest.raises(ValueError, match="coverage needs times with a regular step"):
            script(pd.DataFrame({"value": 1.0}, times), coverage=0.5)
        assert script(pd.DataFrame({"value": 1.0}, times), min_count=1)["value"].sum() == 4.0


def test_rolling_leaves_windows_with_few_values_missing() -> None:
    data = hourly([1.0, 2.0, 6.0, None, 10.0])
    full = [None, None, 9.0, None, None]
    assert (
        rolling(data, "3h", "sum", coverage=1.0)["value"].replace({np.nan: None}).tolist() == full
    )
    two = rolling(data, "3h", "sum", min_count=2)["value"]
    assert two.iloc[1:].tolist() == [3.0, 9.0, 8.0, 16.0]
    assert np.isnan(two.iloc[0])
    assert two.equals(rolling(data, "3h", "sum", coverage=0.5)["value"])
    assert rolling(data, "3h", "count", min_count=3)["value"].tolist() == [1, 2, 3, 2, 2]


def test_rolling_looks_back_for_a_span_of_time() -> None:
    data = hourly([1.0, 2.0, 6.0, None, 10.0])
    shuffled = data.sample(frac=1, random_state=1)
    for table in (data, shuffled, data.set_index("date")):
        assert rolling(table, "2h")["value"].tolist() == [1.0, 1.5, 4.0, 6.0, 10.0]
        assert rolling(table, "3h", "sum")["value"].tolist() == [1.0, 3.0, 9.0, 8.0, 16.0]
        assert rolling(table, "90min", "max")["value"].tolist() == [1.0, 2.0, 6.0, 6.0, 10.0]


def test_gaps_are_found_between_the_values_around_them() -> None:
    data = hourly([1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0]).drop([4, 5])
    found = gaps(data)
    hours = [START + timedelta(hours=place) for place in range(7)]
    assert found.to_dict("list") == {
        "before": [hours[1], hours[3]],
        "after": [hours[3], hours[6]],
        "missing": [1, 2],
    }
    assert gaps(data, "2h")["missing"].tolist() == [1]  # 3 hours are rounded to 2 steps of 2
    assert gaps(data, "1D").empty
    assert gaps(hourly([1.0] * 5)).empty
    assert gaps(hourly([1.0]), "1h").empty
    assert found.dtypes["missing"].kind == "i"


def test_rows_without_values_are_gaps(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    data = daily([None, 1.0, None, 3.0, None, None])
    days = data["date"].tolist()
    expected = {
        "before": [pd.NaT, days[1], days[3]],
        "after": [days[1], days[3], pd.NaT],
        "missing": [1, 1, 2],
    }
    assert gaps(data).to_dict("list") == expected
    assert "the most common step is 1 day; set frequency if you" in caplog.text
    every_second = daily([1.0, None] * 10 + [1.0])
    assert gaps(every_second)["missing"].tolist() == [1] * 10
    assert gaps(daily([None] * 3).astype({"value": float})).to_dict("list") == {
        "before": [pd.NaT],
        "after": [pd.NaT],
        "missing": [3],
    }


@pytest.mark.parametrize(
    ("step", "words"),
    [
        *(("15min", "15 minutes"), ("1h", "1 hour"), ("90min", "90 minutes"), ("9h", "9 hours")),
        *(("10s", "10 seconds"), ("7D", "7 days"), ("31D", "31 days (1 month)")),
    ],
)
def test_steps_are_logged_in_words(step: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    gaps(pd.DataFrame({"value": 1.0}, pd.date_range("2020-01-01", periods=3, freq=step)))
    assert f"the most common step is {words};" in caplog.text


def test_gaps_are_those_of_the_columns_asked_for() -> None:
    data = daily([1.0, None, 3.0]).assign(level=[1.0, 2.0, None])
    days = data["date"].tolist()
    assert gaps(data).empty
    one = gaps(data, column="value")
    assert list(one.columns) == ["before", "after", "missing"]
    assert one["before"].tolist() == [days[0]]
    assert gaps(data, column=["value", "level"]).to_dict("list") == {
        "column": ["value", "level"],
        "before": [days[0], days[1]],
        "after": [days[2], pd.NaT],
        "missing": [1, 1],
    }
    assert gaps(data[:1], "1D", column=["value", "level"]).empty


@given(st.sets(st.integers(1, 98)), st.integers(0, 20))
def test_gaps_count_what_was_taken_away(missing: set[int], jitter: int) -> None:
    data = hourly([1.0] * 100).drop(list(missing))
    data["date"] += pd.to_timedelta(np.arange(len(data)) % 2 * jitter, unit="min")
    assert gaps(data, "1h")["missing"].sum() == len(missing)


def test_flow_duration_curve_has_the_plotting_positions_of_weibull() -> None:
    found = flow_duration_curve(hourly([3.0, 1.0, None, 4.0, 2.0]))
    assert found["exceedance"].tolist() == [20.0, 40.0, 60.0, 80.0]
    assert found["value"].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_flow_duration_curve_gives_the_flows_asked_for() -> None:
    flows = pd.DataFrame({"q": np.arange(1.0, 100.0)})
    found = flow_duration_curve(flows, "q", [95, 5, 50, 2.5])
    assert found["exceedance"].tolist() == [2.5, 5.0, 50.0, 95.0]
    assert found["q"].tolist() == pytest.approx([97.5, 95.0, 50.0, 5.0])
    rare = flow_duration_curve(flows, "q", [0.5, 99.5])["q"]
    assert rare.isna().all()  # 99 values tell nothing of once in 200
    assert flow_duration_curve(hourly([None]).astype({"value": float}), exceedances=[5])[
        "value"
    ].isna().tolist() == [True]


def test_exceedances_that_the_data_cannot_answer_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flows = pd.DataFrame({"q": np.arange(1.0, 100.0)})
    flow_duration_curve(flows, "q", [0.95, 50, 99.9])
    (line,) = caplog.messages
    assert line.startswith("missing, as 99 values are too few")
    assert line.endswith("exceedances 0.95, 99.9")
    caplog.clear()
    flow_duration_curve(pd.concat([flows] * 5), "q", [0.5, 0.95])
    assert caplog.messages == [
        "exceedances are in percent: write 95 if 0.95 is a share of the time"
    ]
    caplog.clear()
    flow_duration_curve(flows, "q", [1, 95])
    assert caplog.messages == []


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_flow_duration_curve_falls(flows: list[float]) -> None:
    found = flow_duration_curve(pd.DataFrame({"q": flows}))
    assert found["exceedance"].is_monotonic_increasing
    assert found["q"].is_monotonic_decreasing
    assert sorted(found["q"]) == sorted(flows)


def test_plot_is_a_picture() -> None:
    figure = plot(hourly([1.0, 3.0, 2.0]), title="Gauge", unit="m")
    (axes,) = figure.axes
    assert (axes.get_title(), axes.get_ylabel()) == ("Gauge", "value [m]")
    (line,) = axes.get_lines()
    assert np.asarray(line.get_ydata()).tolist() == [1.0, 3.0, 2.0]
    encoded = encode_result(figure)
    assert encoded.kind == "png"

    from matplotlib.image import imread

    assert imread(BytesIO(encoded.value)).shape[:2] == (400, 1000)


def test_plot_draws_the_columns_asked_for() -> None:
    data = hourly([1.0, 3.0]).assign(level=[5, 6])
    assert [line.get_label() for line in plot(data).axes[0].get_lines()] == ["value", "level"]
    assert [line.get_label() for line in plot(data, "level").axes[0].get_lines()] == ["level"]


def test_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RuntimeError, match="pip install 'jobserver-rest"):
        plot(hourly([1.0]))


@pytest.mark.parametrize("script", [resample, rolling, gaps, plot])
def test_what_has_no_times_is_refused(script: Any) -> None:
    with pytest.raises(ValueError, match="has no times"):
        script(pd.DataFrame({"value": [1.0]}))
    with pytest.raises(ValueError, match="no numeric column"):
        script(hourly([1.0])[["date", "site"]])
    with pytest.raises(ValueError, match="is not a table"):
        script("text")


@pytest.mark.parametrize(
    "text", ["", "x", "0h", "-1h", "1 month", "MS", "nan", "1e9D", "h1", "1ns", "0.0D", "9999999W"]
)
def test_what_is_no_span_is_refused(text: str) -> None:
    data = hourly([1.0, 2.0])
    with pytest.raises(ValueError, match=r"not a time span: write 15min"):
        rolling(data, text)
    with pytest.raises(ValueError, match=r"not a time span: write 15min"):
        gaps(data, text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0D", "1 fortnight", "1ns", "5ms", "1.5h", "1h30min", "W-JAN", "YS-MON"],
)
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid period: write 15min"):
        resample(hourly([1.0, 2.0]), text)


def test_a_sum_of_large_integers_does_not_wrap_around() -> None:
    times = pd.date_range("2020-01-01", periods=3)
    for values in ([2**62] * 3, [-(2**62)] * 3, [2**53, 1, 1]):
        found = resample(pd.DataFrame({"value": values}, times), "3D", "sum")["value"]
        assert found.tolist() == [float(sum(values))]
    small = resample(pd.DataFrame({"value": [1, 2, 3]}, times), "3D", "sum")["value"]
    assert (small.dtype, small.tolist()) == ("int64", [6])


@pytest.mark.parametrize("script", [resample, rolling, gaps, plot, flow_duration_curve, baseflow])
def test_infinite_values_are_refused(script: Any) -> None:
    data = pd.DataFrame({"value": [1.0, -np.inf, 2.0]}, pd.date_range("2020-01-01", periods=3))
    with pytest.raises(ValueError, match=r'infinite values in value: 1, .*2020-01-02.*"missing"'):
        script(data)


def test_more_periods_than_memory_holds_are_refused() -> None:
    data = pd.DataFrame({"value": [1.0, 2.0]}, pd.to_datetime(["1900-01-01", "2020-01-01"]))
    with pytest.raises(ValueError, match=r"3,786,825,600 periods of 1s.*longer"):
        resample(data, "1s")


def test_gaps_of_one_value_need_a_frequency() -> None:
    with pytest.raises(ValueError, match="expected frequency"):
        gaps(hourly([1.0]))


def test_a_column_that_is_not_there_is_refused() -> None:
    for script in (flow_duration_curve, plot):
        with pytest.raises(ValueError, match="There is no numeric column site, only: value"):
            script(hourly([1.0]), "site")


def test_their_parameters_are_checked_before_a_run() -> None:
    registry = Registry.load(ScriptSources(None))

    def fields(name: str, **kwargs: Any) -> list[str]:
        return [each.field for each in registry.lookup(name).problems([], kwargs, True)]

    assert fields("resample", period="MS", how="sum") == []
    assert fields("resample", period=5, how="mode") == ["kwargs.period", "kwargs.how"]
    assert fields("flow_duration_curve", exceedances=["95", 5]) == []
    wrong = fields("flow_duration_curve", exceedances=[0, 5, 100, True], column=1)
    assert wrong == [
        *("kwargs.exceedances[0]", "kwargs.exceedances[2]", "kwargs.exceedances[3]"),
        "kwargs.column",
    ]


RANGES = [
    ("resample", "min_count", [0, -1, 1.5, "x"]),
    ("resample", "coverage", [0, 1.1, "x"]),
    ("rolling", "min_count", [0]),
    ("rolling", "coverage", [0, 2]),
    ("summary", "column", [1, []]),
    ("gaps", "column", [[], [1]]),
    ("plot", "column", [[]]),
    ("plot", "time", [1]),
]


@pytest.mark.parametrize(("script", "parameter", "values"), RANGES)
def test_values_out_of_range_are_refused_before_a_run(
    script: str, parameter: str, values: list[Any]
) -> None:
    problems = Registry.load(ScriptSources(None)).lookup(script).problems
    for value in values:
        (found,) = {each.field.partition("[")[0] for each in problems([], {parameter: value}, True)}
        assert found == f"kwargs.{parameter}"
    assert problems([], {"column": ["a", "b"]}, True) == problems([], {"column": "a"}, True) == []


def test_each_names_the_source_of_its_method() -> None:
    for script in (resample, rolling, gaps, flow_duration_curve, plot):
        assert "References\n" in str(script.__doc__)
