"""Files as agencies and loggers write them: read as they are, and as the documentation says."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobserver.errors import JobNotRunnable
from jobserver.tables.loading import load
from tests.support.published import PUBLISHED

FILES = Path(__file__).parent / "published"
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "tables.md"


def documented() -> dict[str, str]:
    """Return the last cell of each row in the section about files of agencies."""
    section = GUIDE.read_text("utf-8").partition("## Files of agencies")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \|.*\| (.*?) \|$", section, re.MULTILINE)
    return {name: cell for name, cell in rows if name != "file"}


def options_for(name: str) -> dict[str, Any]:
    """Return the options that the documentation names for a file."""
    found = re.fullmatch(r"`(\{.*\})`.*", documented()[name])
    options: dict[str, Any] = json.loads(found[1]) if found else {}
    return options


def check_columns(frame: pd.DataFrame, expected: dict[str | int, list[Any]]) -> None:
    """Check values and types: times are given as text, numbers and text as they are."""
    for name, values in expected.items():
        column = frame[name]
        if column.dtype.kind == "M":
            assert column.tolist() == [pd.Timestamp(time) for time in values], name
        else:
            assert [None if pd.isna(cell) else cell for cell in column] == values, name


def read(name: str, caplog: pytest.LogCaptureFixture, **options: Any) -> tuple[Any, str]:
    """Return a published file as a script gets it, and the log."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    value = load({"path": str(FILES / PUBLISHED[name].file), **options}, as_path=False)
    return value, "\n".join(record.getMessage() for record in caplog.records)


def test_each_published_file_is_documented() -> None:
    assert [*documented()] == [*PUBLISHED]
    assert {case.file for case in PUBLISHED.values()} == {path.name for path in FILES.iterdir()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_read_as_it_is_or_the_log_says_what_to_set(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = PUBLISHED[name]
    if case.is_refused:
        with pytest.raises(JobNotRunnable) as refused:
            read(name, caplog)
        said = refused.value.errors[0].problem
    else:
        frame, said = read(name, caplog)
        check_columns(frame, case.plain if options_for(name) else case.right)
    assert [words for words in case.says if words not in said] == []
    assert said or not case.says


@pytest.mark.parametrize("name", [name for name in PUBLISHED if PUBLISHED[name].right])
def test_the_documented_options_read_a_published_file(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    frame, said = read(name, caplog, **options_for(name))
    check_columns(frame, PUBLISHED[name].right)
    assert '"data"' not in said  # nothing is left to be set


@pytest.mark.parametrize("name", [name for name in PUBLISHED if PUBLISHED[name].right])
def test_a_published_file_is_a_time_series_with_the_documented_options(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if name == "USGS, sites":
        return
    frame, _ = read(name, caplog, **options_for(name), datatype="timeseries")
    assert isinstance(frame.index, pd.DatetimeIndex)
    times = next(v for v in PUBLISHED[name].right.values() if re.match(r"\d{4}-\d\d-", str(v[0])))
    assert frame.index.tolist() == [pd.Timestamp(time) for time in times]


def test_columns_of_fixed_widths_are_refused_with_advice(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(JobNotRunnable) as refused:
        read("GHCN-Daily, `dly`", caplog, header=False)
    assert "pathlib.Path" in refused.value.errors[0].problem
