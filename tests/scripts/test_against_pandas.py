"""The shipped scripts compute what pandas and NumPy do, on tables that are generated."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from jobserver.scripts import flow_duration_curve, resample, rolling, summary
from jobserver.scripts.shipped.timeseries import How

STATISTICS = get_args(How)
#: Periods as pandas labels them with their end, and with their start.
ENDS = {"W": "W-MON", "W-WED": "W-THU", "ME": "MS", "QE": "QS", "QE-OCT": "QS-NOV"} | {
    "YE": "YS",
    "YE-OCT": "YS-NOV",
}


@pytest.fixture(params=range(10))
def table(request: pytest.FixtureRequest) -> pd.DataFrame:
    """Rows in disorder, with gaps, missing values, text, and columns of several types."""
    random = np.random.default_rng(request.param)
    rows = int(random.integers(200, 2000))
    step = random.choice(["15min", "1h", "1D"])
    times = pd.date_range("2019-10-07 05:00", periods=rows, freq=step, name="date")
    found = pd.DataFrame(
        {
            "flow": random.gamma(2, 10, rows),
            "level": random.normal(0, 1e3, rows).astype("float32"),
            "count": random.integers(-50, 50, rows),
            "site": random.choice(["a", "b"], rows),
        },
        times,
    )
    found.loc[random.random(rows) < 0.2, "flow"] = np.nan
    return found.sample(frac=0.9, random_state=request.param).reset_index()


def plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("date").sort_index()[["flow", "level", "count"]]


def test_summary(table: pd.DataFrame) -> None:
    expected = plain(table).astype("float64").describe()
    assert_frame_equal(pd.DataFrame(summary(table)), expected, check_freq=False)


@pytest.mark.parametrize("period", ["6h", "1D", "3D", "MS", "QS", "YS-NOV", "2MS"])
def test_resample(table: pd.DataFrame, period: str) -> None:
    periods = plain(table).resample(period)
    for how in STATISTICS:
        expected = periods.sum(min_count=1) if how == "sum" else getattr(periods, how)()
        assert_frame_equal(resample(table, period, how), expected, check_freq=False)


@pytest.mark.parametrize("end", ENDS)
def test_resample_labels_with_the_start_what_pandas_labels_with_the_end(
    table: pd.DataFrame, end: str
) -> None:
    expected = plain(table).resample(end).mean()
    found = resample(table, end)
    assert found.to_numpy() == pytest.approx(expected.to_numpy(), nan_ok=True, rel=1e-12)
    assert (found.index + pd.tseries.frequencies.to_offset(ENDS[end])).equals(
        expected.index + pd.Timedelta(1, "D")
    )


@pytest.mark.parametrize("window", ["90min", "3D", "14D"])
def test_rolling(table: pd.DataFrame, window: str) -> None:
    windows = plain(table).rolling(window, min_periods=1)
    for how in STATISTICS:
        assert_frame_equal(rolling(table, window, how), getattr(windows, how)())


def test_flow_duration_curve(table: pd.DataFrame) -> None:
    flow = plain(table)["flow"].dropna()
    found = flow_duration_curve(table, "flow")
    rank = flow.rank(ascending=False, method="first")
    expected = (100 * rank / (len(flow) + 1)).sort_values()
    assert found["exceedance"].tolist() == pytest.approx(expected.tolist(), rel=1e-12)
    assert found["flow"].tolist() == flow[expected.index].tolist()


def test_flow_duration_curve_between_ranks(table: pd.DataFrame) -> None:
    flow = plain(table)["flow"].dropna()
    wanted = [1.0, 5, 33, 50, 95, 99]
    expected = np.quantile(flow, 1 - np.array(wanted) / 100, method="weibull")
    found = flow_duration_curve(table, "flow", wanted)
    assert found["flow"].tolist() == pytest.approx(expected.tolist(), rel=1e-9)
