"""Times that are read in one way only, and what is said of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
