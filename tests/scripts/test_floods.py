"""Floods by return period, against published fits and SciPy's distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import genextreme, gumbel_r, lmoment

from jobserver import scripts
from jobserver.scripts.registry import Registry, ScriptSources
from jobserver.scripts.shipped.floods import fit_gev, fit_gumbel, l_moments, quantiles

#: The data that the tests of the Python package lmoments3 1.0.6 (Open Hydrology) fit, and that
#: Hosking's Fortran routines LMOMENTS gave these results for.
MAXIMA = [2.0, 3.0, 4.0, 2.4, 5.5, 1.2, 5.4, 2.2, 7.1, 1.3, 1.5]
L_MOMENTS = (3.23636364, 1.14181818, 0.27388535)
GUMBEL = {"location": 2.285519, "scale": 1.647295}
GEV = {"location": 2.1792884, "scale": 1.3956404, "shape": -0.1555609}
#: Their quantiles for non-exceedance probabilities of 0.2, 0.5 and 0.8.
GUMBEL_QUANTILES = [1.501596, 2.889274, 4.756363]
GEV_QUANTILES = [1.539112, 2.705672, 4.537048]
YEARS = 1 / (1 - np.array([0.2, 0.5, 0.8]))


def return_periods(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Call the script, and return its rows as tables."""
    found = scripts.return_periods(*args, **kwargs)
    return {
        key: pd.DataFrame(each) if isinstance(each, list) else each for key, each in found.items()
    }


def annual(maxima: list[float]) -> pd.DataFrame:
    times = [pd.Timestamp(2001 + place, 3, 1) for place in range(len(maxima))]
    return pd.DataFrame({"date": times, "q": maxima})


def test_published_l_moments() -> None:
    assert l_moments(np.array(MAXIMA)) == pytest.approx(L_MOMENTS, abs=1e-8)


def test_published_fits() -> None:
    found = return_periods(annual(MAXIMA), periods=YEARS.tolist())
    assert found["gumbel"] == pytest.approx(GUMBEL, abs=1e-6)
    assert found["gev"] == pytest.approx(GEV, abs=1e-6)
    assert found["floods"]["return_period"].tolist() == YEARS.tolist()
    assert found["floods"]["gumbel"].tolist() == pytest.approx(GUMBEL_QUANTILES, abs=1e-6)
    assert found["floods"]["gev"].tolist() == pytest.approx(GEV_QUANTILES, abs=1e-6)


@given(st.lists(st.floats(0, 1e4), min_size=3, max_size=60))
def test_l_moments_are_those_of_scipy(values: list[float]) -> None:
    if max(values) - min(values) < 1e-3:
        return
    first, second, third = lmoment(values, order=[1, 2, 3], standardize=False)
    found = l_moments(np.array(values))
    assert found[:2] == pytest.approx((first, second), rel=1e-9)
    assert found[2] == pytest.approx(third / second, abs=1e-9)


def test_quantiles_are_those_of_scipy() -> None:
    years = np.array([1.01, 2, 10, 100, 1e4, 1e6])
    expected = gumbel_r.isf(1 / years, loc=30, scale=7)
    assert quantiles(years, 30, 7) == pytest.approx(expected, rel=1e-9)
    for shape in (-0.4, -0.1, 1e-5, 0.2, 0.9):
        expected = genextreme.isf(1 / years, shape, loc=30, scale=7)
        assert quantiles(years, 30, 7, shape) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [-0.5, -0.2, -1e-3, 0.0, 1e-3, 0.1, 0.3, 0.8])
def test_a_fit_to_the_moments_of_a_distribution_finds_it(shape: float) -> None:
    """Integrate the quantiles times Legendre polynomials, which defines L-moments."""
    found = genextreme(shape, loc=30, scale=7)
    polynomials = (lambda f: f**0, lambda f: 2 * f - 1, lambda f: 6 * f**2 - 6 * f + 1)
    mean, spread, third = (
        quad(lambda f, weight=weight: found.ppf(f) * weight(f), 0, 1, limit=500)[0]
        for weight in polynomials
    )
    expected = {"location": 30, "scale": 7, "shape": shape}
    assert fit_gev(mean, spread, third / spread) == pytest.approx(expected, abs=1e-4)
    if shape == 0:
        assert fit_gumbel(mean, spread) == pytest.approx({"location": 30, "scale": 7}, abs=1e-6)


def test_the_fit_finds_what_a_sample_was_drawn_from() -> None:
    drawn = genextreme.rvs(-0.1, loc=100, scale=30, size=20_000, random_state=1)
    found = fit_gev(*l_moments(drawn))
    assert found["shape"] == pytest.approx(-0.1, abs=0.02)
    assert found["location"] == pytest.approx(100, rel=0.01)
    assert found["scale"] == pytest.approx(30, rel=0.02)


@given(st.floats(-0.9, 0.99))
def test_every_skewness_has_a_distribution(skewness: float) -> None:
    found = fit_gev(10.0, 2.0, skewness)
    floods = quantiles(np.array([1.5, 2, 10, 100]), **found)
    assert np.isfinite(floods).all()
    assert (np.diff(floods) >= 0).all()


def test_plotting_positions_are_those_of_cunnane() -> None:
    found = return_periods(annual([5.0, 9.0, 7.0, 7.0]))["maxima"]
    assert found["year"].tolist() == [2001, 2002, 2003, 2004]
    assert found["flood"].tolist() == [5.0, 9.0, 7.0, 7.0]
    expected = [4.2 / 3.6, 4.2 / 0.6, 4.2 / 1.6, 4.2 / 2.6]
    assert found["return_period"].tolist() == pytest.approx(expected)


def daily(last: str = "2005-12-31") -> pd.DataFrame:
    """Daily flow of 1 from 2000 on, with a flood in each November and a higher one in January."""
    days = pd.date_range("2000-01-01", last)
    flow = np.ones(len(days))
    flow[(days.month == 11) & (days.day == 1)] = (
        10 + days.year[(days.month == 11) & (days.day == 1)]
    )
    flow[(days.month == 1) & (days.day == 31)] = 3000
    return pd.DataFrame({"date": days, "q": flow})


def test_maxima_are_those_of_complete_hydrological_years(caplog: pytest.LogCaptureFixture) -> None:
    data = daily()
    data["q"] += data.index / 1e6
    found = return_periods(data)["maxima"]
    assert found["year"].tolist() == [2001, 2002, 2003, 2004, 2005]
    assert found["time"].tolist() == [pd.Timestamp(year, 1, 31) for year in found["year"]]
    assert caplog.messages[:2] == [
        "left out year 2000: q has 305 of 366 values",
        "left out year 2006: q has 61 of 365 values",
    ]
    assert "period of 100 years is far beyond the data of 5" in caplog.text
    caplog.clear()
    calendar = return_periods(data, start_month=1, periods=[2])["maxima"]
    assert calendar["year"].tolist() == list(range(2000, 2006))
    assert caplog.messages == []
    late = data[(data["date"].dt.month != 1)]
    times = return_periods(late, start_month=12, coverage=0.9)["maxima"]["time"]
    assert {(time.month, time.day) for time in times} == {(11, 1)}


def test_years_with_gaps_are_logged_whether_used_or_not(caplog: pytest.LogCaptureFixture) -> None:
    data = daily().assign(q=lambda table: table["q"] + table.index / 1e6)
    data.loc[data["date"].between("2002-05-01", "2002-05-05"), "q"] = None
    data = data[data["date"].dt.year != 2004]
    found = return_periods(data, start_month=1)["maxima"]
    assert found["year"].tolist() == [2000, 2001, 2002, 2003, 2005]
    assert caplog.messages[:2] == [
        "year 2002 is used although q has 360 of 365 values",
        "left out year 2004: q has 0 of 366 values",
    ]
    found = return_periods(data, start_month=1, coverage=1.0)["maxima"]
    assert found["year"].tolist() == [2000, 2001, 2003, 2005]


def test_rows_are_plain_values() -> None:
    found = scripts.return_periods(annual([5.0, 9.0, 7.0]), periods=[2])
    assert [list(row) for row in found["floods"]] == [["return_period", "gumbel", "gev"]]
    assert {type(value) for value in found["floods"][0].values()} == {float}
    first = {"year": 2001, "time": pd.Timestamp(2001, 3, 1), "flood": 5.0}
    assert found["maxima"][0] == first | {"return_period": pytest.approx(3.2 / 2.6)}


def test_annual_values_need_no_coverage(caplog: pytest.LogCaptureFixture) -> None:
    data = annual(MAXIMA).drop(4)
    found = return_periods(data, periods=[2])
    assert found["maxima"]["flood"].tolist() == [*MAXIMA[:4], *MAXIMA[5:]]
    assert caplog.messages == ["no year has two rows: the rows are taken as annual values"]


def test_a_fit_that_means_little_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    return_periods(annual([1.0, 1.0, 2.0]), periods=[2])
    assert "the shape -1 of gev is implausible: check the maxima, or use gumbel" in caplog.messages
    caplog.clear()
    return_periods(annual(MAXIMA), periods=[2])
    assert "implausible" not in caplog.text


def test_floods_that_cannot_be_estimated_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"needs at least 3 complete years, has 2: bind.*series\.$"
    ):
        return_periods(annual([1.0, 2.0]))
    with pytest.raises(ValueError, match="All 3 annual maxima are 2: nothing can be fitted"):
        return_periods(annual([2.0, 2.0, 2.0]))
    with pytest.raises(ValueError, match="No hydrological year from month 11 has 95% of its"):
        return_periods(daily("2000-12-31"))
    with pytest.raises(ValueError, match="no values with a time"):
        return_periods(annual([np.nan] * 3))
    irregular = pd.to_datetime(["2000-01-01", "2000-01-03", "2000-01-09", "2001-05-01"])
    with pytest.raises(ValueError, match="needs times with a regular step"):
        return_periods(pd.DataFrame({"date": irregular, "q": [1.0, 2.0, 3.0, 4.0]}))


def test_a_lower_coverage_is_advised_where_it_helps() -> None:
    data = daily("2003-12-31")
    short = data[data["date"] < "2002-03-01"]
    with pytest.raises(ValueError, match=r"needs at least 3 complete years, has 2") as refused:
        return_periods(short, start_month=1)
    assert "coverage" not in str(refused.value)
    gaps = data[~data["date"].between("2001-03-01", "2002-02-28")]
    with pytest.raises(ValueError, match=r'3 complete years, has 2: .*"coverage": 0\.83'):
        return_periods(gaps, start_month=1)
    whole = return_periods(gaps, start_month=1, coverage=0.83, periods=[2])
    assert whole["maxima"]["year"].tolist() == [2000, 2002, 2003]


def test_its_parameters_are_checked_before_a_run() -> None:
    script = Registry.load(ScriptSources(None)).lookup("return_periods")

    def fields(**kwargs: Any) -> list[str]:
        return [each.field for each in script.problems([], kwargs, True)]

    assert fields(periods=[2, 100.5], start_month=10, coverage=1) == []
    assert fields(periods=[1, 2], start_month=13, coverage=0) == [
        *("kwargs.periods[0]", "kwargs.start_month", "kwargs.coverage")
    ]
    assert fields(periods=[], start_month=0) == ["kwargs.periods", "kwargs.start_month"]
