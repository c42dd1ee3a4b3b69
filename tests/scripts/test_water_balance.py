"""The water balance, against sums worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobserver.scripts import water_balance
from jobserver.scripts.registry import Registry, ScriptSources


def catchment(start: str, end: str, step: str = "1D", **columns: float) -> pd.DataFrame:
    times = pd.date_range(start, end, freq=step, inclusive="left")
    return pd.DataFrame({"date": times, **columns})


def test_a_cubic_metre_a_second_of_a_square_kilometre_is_86_mm_a_day() -> None:
    data = catchment("2018-11-01", "2020-11-01", p=100.0, q=1.0, et=10.0)
    found = water_balance(data, "p", "q", 1, "et")
    assert found.to_dict("list") == {
        "year": [2019, 2020],
        "precipitation": [36500.0, 36600.0],
        "flow": [pytest.approx(86.4 * 365), pytest.approx(86.4 * 366)],
        "evaporation": [3650.0, 3660.0],
        "runoff_coefficient": [pytest.approx(0.864)] * 2,
        "storage_change": [pytest.approx(3.6 * 365), pytest.approx(3.6 * 366)],
    }


@pytest.mark.parametrize(("step", "each_day"), [("1h", 24), ("15min", 96), ("2D", 0.5)])
def test_the_step_does_not_matter(step: str, each_day: float) -> None:
    data = catchment("2019-01-01", "2021-01-01", step, p=100 / each_day, q=2.0)
    found = water_balance(data, "p", "q", area=50, start_month=1, coverage=0.99)
    assert found["year"].tolist() == [2019, 2020]
    assert found["flow"].tolist() == pytest.approx(
        [86.4 * 2 / 50 * n for n in (366, 366)], rel=0.01
    )
    assert found["precipitation"].tolist() == pytest.approx([36500, 36600], rel=0.01)


def test_flow_in_mm_needs_no_area_and_months_will_do() -> None:
    data = catchment("2019-10-01", "2020-10-01", "MS", rain=50.0, runoff=20.0)
    found = water_balance(data, "rain", "runoff", start_month=10)
    assert found.to_dict("list") == {
        "year": [2020],
        "precipitation": [600.0],
        "flow": [240.0],
        "runoff_coefficient": [0.4],
        "loss": [360.0],
    }


def test_months_have_no_fixed_step_to_convert_flow_with() -> None:
    data = catchment("2019-10-01", "2020-10-01", "MS", p=50.0, q=20.0)
    with pytest.raises(
        ValueError, match=r"needs a fixed step\. Most steps are 31 days \(1 month\), .* 30 days"
    ):
        water_balance(data, "p", "q", area=10)


def test_years_that_lack_a_value_are_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    data = catchment("2018-01-01", "2022-02-01", p=3.0, q=1.0)
    data.loc[data["date"] == "2019-06-01", "p"] = None
    data = data[~data["date"].between("2020-06-01", "2020-06-10")]
    found = water_balance(data, "p", "q", start_month=1)
    assert found["year"].tolist() == [2018, 2021]
    assert caplog.messages == [
        "left out year 2019: precipitation has 364 of 365 values",
        "left out year 2020: precipitation has 356 of 366 values",
        "left out year 2020: flow has 356 of 366 values",
        "left out year 2022: precipitation has 31 of 365 values",
        "left out year 2022: flow has 31 of 365 values",
    ]
    caplog.clear()
    assert water_balance(data, "p", "q", start_month=1, coverage=0.99)[
        "precipitation"
    ].tolist() == [*(3.0 * 365, 3.0 * 364, 3.0 * 365)]
    assert "year 2019 is used although precipitation has 364 of 365 values" in caplog.messages


def test_more_flow_than_rain_hints_at_the_units(caplog: pytest.LogCaptureFixture) -> None:
    data = catchment("2019-01-01", "2020-01-01", p=1.0, q=2.0)
    assert water_balance(data, "p", "q", start_month=1)["runoff_coefficient"].tolist() == [2.0]
    assert caplog.messages == [
        "year 2019 has more flow than precipitation: check the units, "
        "and give the area if flow is in m³/s"
    ]


def test_a_year_without_rain_has_no_runoff_coefficient() -> None:
    data = catchment("2019-01-01", "2020-01-01", p=0.0, q=2.0)
    found = water_balance(data, "p", "q", start_month=1)
    assert np.isnan(found["runoff_coefficient"].iloc[0])
    assert found["loss"].tolist() == [-730.0]


def test_columns_that_make_no_balance_are_refused() -> None:
    data = catchment("2019-01-01", "2020-01-01", p=1.0, q=2.0)
    with pytest.raises(ValueError, match="There is no numeric column rain, only: p, q"):
        water_balance(data, "rain", "q")
    with pytest.raises(ValueError, match=r'"kwargs": {"flow": "q"}') as refused:
        water_balance(data, "p", "Q")
    assert "flow: There is no numeric column Q" in str(refused.value)
    with pytest.raises(ValueError, match=r"precipitation and flow must be different columns.*p"):
        water_balance(data, "p", "p")
    with pytest.raises(ValueError, match="rows with the time of another row: 1"):
        water_balance(pd.concat([data, data[:1]]), "p", "q")
    with pytest.raises(ValueError, match="No hydrological year from month 11"):
        water_balance(data, "p", "q")


def test_its_parameters_are_checked_before_a_run() -> None:
    script = Registry.load(ScriptSources(None)).lookup("water_balance")

    def fields(**kwargs: Any) -> list[str]:
        return [each.field for each in script.problems([], kwargs, True)]

    assert fields(precipitation="p", flow="q", area=12.5, start_month=10) == []
    assert fields(precipitation="p", flow="q", area=0, coverage=1.5) == [
        *("kwargs.area", "kwargs.coverage")
    ]
    assert fields() == ["kwargs.precipitation", "kwargs.flow"]
    for missing in script.problems([], {}, True):
        assert "column of" in missing.problem
        assert '"kwargs": {"precipitation": ..., "flow": ...}' in missing.problem
