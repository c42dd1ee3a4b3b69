"""Files as agencies and loggers write them: read as they are, and as the documentation says."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
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


#: What may happen to a row of a file.
DAMAGES: dict[str, Callable[[str], str]] = {
    "a blank line": lambda line: "\n" + line,
    "a stray line": lambda line: "the gauge was moved by hand\n" + line,
    "half a row": lambda line: line[: len(line) // 2],
    "two rows in one": lambda line: line + line,
    "an open quote": lambda line: '"' + line,
    "a word": lambda line: re.sub(r"\d(?=\D*$)", "x", line),
    "another decimal mark": lambda line: re.sub(r"(\d)\.(\d)", r"\1,\2", line),
}
TABLES = [name for name, case in PUBLISHED.items() if case.right and "json" not in case.file]


def rows(frame: pd.DataFrame, without: int) -> list[list[Any]]:
    """Return the rows of a table but one; missing values are None."""
    texts = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return [row for n, row in enumerate(texts) if n != without]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", TABLES)
def test_damage_to_a_row_changes_no_other_row_in_silence(
    name: str, damage: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    frame, said = read(name, caplog, **options_for(name))
    known = re.sub(r"\d+", "", said)
    path = tmp_path / PUBLISHED[name].file
    lines = (FILES / path.name).read_text("utf-8", "surrogateescape").rstrip("\n").split("\n")
    for n in range(len(frame)):
        damaged = [*lines]
        damaged[n - len(frame)] = DAMAGES[damage](damaged[n - len(frame)])
        path.write_text("\n".join(damaged), "utf-8", "surrogateescape")
        caplog.clear()
        try:
            found = load({"path": str(path), **options_for(name)}, as_path=False)
        except JobNotRunnable:
            continue
        messages = {re.sub(r"\d+", "", record.getMessage()) for record in caplog.records}
        if all(message in known for message in messages):
            assert rows(found, n) == rows(frame, n)
