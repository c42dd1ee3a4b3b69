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
from jobserver.scripts import flow_duration_curve, gaps, plot, resample, rolling
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


@pytest.mark.parametrize("text", ["", "x", "0h", "-1h", "1 month", "MS", "nan", "1e9D", "h1"])
def test_what_is_no_span_is_refused(text: str) -> None:
    data = hourly([1.0, 2.0])
    with pytest.raises(ValueError, match=r"not a time span: write 15min"):
        rolling(data, text)
    with pytest.raises(ValueError, match=r"not a time span: write 15min"):
        gaps(data, text)


@pytest.mark.parametrize("text", ["", "x", "0D", "1 fortnight"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a valid period: write 15min"):
        resample(hourly([1.0, 2.0]), text)


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


def test_each_names_the_source_of_its_method() -> None:
    for script in (resample, rolling, gaps, flow_duration_curve, plot):
        assert "References\n" in str(script.__doc__)
