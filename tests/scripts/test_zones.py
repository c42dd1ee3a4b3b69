"""Daily values whose zone the reader converted to UTC, so that their days begin at another hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from jobserver.encoding.zones import zone_of
from jobserver.scripts import resample, return_periods, water_balance

ADVICE = 'the zone of the data, such as "kwargs": {"zone": "+01:00"}'


def days_of(zone: str, first: str = "2001-01-01", last: str = "2003-12-31") -> pd.DataFrame:
    """A value for each day of a zone, as of tables read with it: in UTC, and highest in January."""
    days = pd.date_range(first, last, tz=zone_of(zone))
    rain = [10.0 + day.year if day.day_of_year == 1 else 1.0 for day in days]
    return pd.DataFrame({"date": days.tz_convert("UTC"), "p": rain, "q": 0.5})


def floods(data: pd.DataFrame, **options: Any) -> list[int]:
    found = return_periods(data, "p", periods=[2], start_month=1, coverage=1.0, **options)
    return [row["year"] for row in found["maxima"]]


def balance(data: pd.DataFrame, **options: Any) -> list[int]:
    found: list[int] = water_balance(data, "p", "q", start_month=1, **options)["year"].tolist()
    return found


def sums(data: pd.DataFrame, **options: Any) -> list[int]:
    found = resample(data, "YS", "count", "p", **options)["p"]
    return [year for year, count in zip(found.index.year, found, strict=True) if count == 365]


@pytest.mark.parametrize("years", [floods, balance, sums])
@pytest.mark.parametrize("zone", ["+01:00", "Europe/Berlin", "-05:00"])
def test_days_of_a_zone_make_its_years(
    years: Callable[..., list[int]], zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert years(days_of(zone), zone=zone) == [2001, 2002, 2003]
    assert '"zone": ' not in caplog.text
    assert "left out" not in caplog.text


@pytest.mark.parametrize("years", [floods, balance, sums])
def test_days_that_do_not_begin_at_midnight_are_logged(
    years: Callable[..., list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    for zone, clocks, advised in [
        ("+01:00", "23:00", "+01:00"),
        ("-05:30", "05:30", "-05:30"),
        ("Europe/Berlin", "22:00 or 23:00", "Europe/Berlin"),
    ]:
        caplog.clear()
        years(days_of(zone, last="2004-12-31"))
        (line,) = [text for text in caplog.messages if '"zone": ' in text]
        assert f"all values are at {clocks} in UTC" in line
        assert f'"kwargs": {{"zone": "{advised}"}}' in line
    caplog.clear()
    years(days_of("UTC"))
    assert '"zone": ' not in caplog.text


def test_the_refusal_of_incomplete_years_names_the_zone() -> None:
    year = days_of("+01:00", "2001-01-01", "2001-12-31")
    with pytest.raises(ValueError, match="No hydrological year") as refused:
        balance(year)
    assert ADVICE in str(refused.value)
    assert balance(year, zone="+01:00") == [2001]


def test_hours_need_no_zone(caplog: pytest.LogCaptureFixture) -> None:
    days = days_of("+01:00", last="2001-01-10")
    resample(days, "12h")
    resample(days.assign(date=pd.date_range("2001", periods=10, freq="h", tz="UTC")), "1D")
    assert '"zone": ' not in caplog.text


def test_the_time_of_a_flood_is_in_utc() -> None:
    found = return_periods(days_of("+01:00"), "p", start_month=1, zone="+01:00")["maxima"][0]
    assert (found["year"], found["flood"]) == (2001, 2011.0)
    assert found["time"] == pd.Timestamp("2000-12-31T23:00Z")
    assert str(found["time"].tz) == "UTC"


def test_a_year_of_hours_may_have_one_hour_less() -> None:
    # The clocks of New York went back after 1 November in 2007, and before it in 2006.
    zone = "America/New_York"
    hours = pd.date_range("2006-11-01", "2007-11-01", freq="h", tz=zone, inclusive="left")
    data = pd.DataFrame({"p": 2.0, "q": 1.0}, hours.tz_convert("UTC"))
    found = water_balance(data, "p", "q", zone=zone)
    assert found[["year", "flow"]].to_numpy().tolist() == [[2007, 8759.0]]
