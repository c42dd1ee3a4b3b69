"""Times that are read in one way only, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from jobserver.errors import JobNotRunnable

Read = Callable[..., Any]


def why(read: Read, content: str | bytes, name: str = "a.csv", **options: Any) -> str:
    """Return why a table is refused."""
    with pytest.raises(JobNotRunnable) as refused:
        read(content, name, **options)
    return refused.value.errors[0].problem


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        (["2020010124", "2020010201"], "%Y%m%d%H"),
        (["202001012400", "202001020100"], "%Y%m%d%H%M"),
        (["20200101240000", "20200102010000"], "%Y%m%d%H%M%S"),
    ],
)
def test_hour_24_without_marks_is_midnight(read: Read, cells: list[str], code: str) -> None:
    text = "t,q\n" + "".join(f"{cell},1.5\n" for cell in cells)
    for times in ("t", {"columns": "t", "format": code}):
        found = read(text, times=times)["t"]
        assert found.astype(str).tolist() == ["2020-01-02 00:00:00", "2020-01-02 01:00:00"]


def test_half_an_hour_after_hour_24_is_not_a_time(read: Read) -> None:
    text = "t,q\n202001012300,1\n202001012430,2\n202001020100,3\n"
    assert "'202001012430' in line 3" in why(read, text, times="t")


@pytest.mark.parametrize("cells", [("1577836800", "1577840400"), ("43831", "43832.5"), ("2020.5",)])
def test_numbers_that_no_format_reads_are_refused_without_advice_that_leads_nowhere(
    read: Read, cells: tuple[str, ...]
) -> None:
    refusal = why(read, "t,q\n" + "".join(f"{cell},1.5\n" for cell in cells), times="t")
    assert "no format reads numbers" in refusal
    assert 'leave out "times"' in refusal
    assert 'set "format"' not in refusal


def texts(column: pd.Series) -> list[str]:
    """Return the cells of a column as text."""
    return [str(cell) for cell in column]


@pytest.mark.parametrize("space", [" ", ""])
def test_times_of_day_with_am_and_pm_are_joined_to_a_date(read: Read, space: str) -> None:
    clocks = [f"11:00{space}PM", f"12:30{space}AM", f"12:30:15{space}pm"]
    text = "d,t,q\n" + "".join(f"2020-01-01,{clock},1\n" for clock in clocks)
    found = [f"2020-01-01 {clock}" for clock in ("23:00:00", "00:30:00", "12:30:15")]
    assert texts(read(text)["d"]) == found
    assert texts(read(text.replace(":15", ""), times=["d", "t"])["d"])[0] == found[0]


@pytest.mark.parametrize("odd", ["", "13:77", "11:00 PM"])
def test_a_time_of_day_that_keeps_columns_apart_is_named_with_an_option(
    read: Read, odd: str
) -> None:
    hours = [f"2020-01-01,{hour:02}:00,{hour}\n" for hour in range(24)]
    frame = read(f"d,t,q\n{''.join(hours[:4])}2020-01-01,{odd},4\n{''.join(hours[5:])}")
    remark = frame.attrs["remarks"]["t"]
    assert f"{odd!r} in line 6" in remark or "empty cell in line 6" in remark
    assert '"times": ["d", "t"]' in remark


def test_text_beside_dates_is_not_said_to_be_a_time_of_day(read: Read) -> None:
    frame = read("d,t,q\n2020-01-01,12:00,1\n2020-01-02,late,2\n2020-01-03,never,3\n")
    assert "times" not in str(frame.attrs)


def test_rows_without_a_time_are_reported(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    text = "d,t,q\n2020-01-01,12:00,1\n2020-01-01,,2\n2020-01-01,13:00,3\n"
    assert read(text, times=["d", "t"])["d"].isna().tolist() == [False, True, False]
    assert "no time in 1 row, the first in line 3" in caplog.text


def test_hours_from_1_to_24_are_joined_to_a_date(read: Read) -> None:
    text = "d,h,q\n" + "".join(f"2020-01-01,{hour},1\n" for hour in range(1, 25))
    found = texts(read(text, times=["d", "h"])["d"])
    assert (found[0], found[-1]) == ("2020-01-01 01:00:00", "2020-01-02 00:00:00")


@pytest.mark.parametrize("first", ["2020-01-01 ", " 2020-01-01", "2020-01-01"])
def test_spaces_around_times_do_not_make_them_text(read: Read, first: str) -> None:
    frame = read(f"t,q\n{first},1\n2020-01-02 ,2\n")
    assert texts(frame["t"]) == ["2020-01-01 00:00:00", "2020-01-02 00:00:00"]


def test_years_from_one_to_the_next_are_not_taken_as_months(read: Read) -> None:
    text = "t,q\n2009-10,1\n2010-11,2\n2011-12,3\n"
    refusal = why(read, text, times="t")
    assert '"format": "%Y-%m"' in refusal
    assert "years" in refusal
    months = read(text, times={"columns": "t", "format": "%Y-%m"})["t"]
    assert texts(months)[1] == "2010-11-01 00:00:00"
    assert texts(read(text.replace("2010-11", "2009-11"), times="t")["t"])[1][:7] == "2009-11"
