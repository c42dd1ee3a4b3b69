"""Time spans as ISO 8601 durations: exact, and the same again when they are read."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from jobserver.encoding.durations import DIGITS, SECONDS, duration_count, iso_duration


@pytest.mark.parametrize(
    ("count", "unit", "text"),
    [
        *((0, "ns", "PT0S"), (26, "h", "P1DT2H"), (2, "D", "P2D"), (1, "W", "P7D")),
        *((90, "s", "PT1M30S"), (-90, "m", "-PT1H30M"), (1500, "ms", "PT1.5S")),
        *((1, "ns", "PT0.000000001S"), (86_400_000_001, "us", "P1DT0.000001S")),
        *((10**18, "as", "PT1S"), (14, "M", "P14M"), (-3, "Y", "-P3Y")),
        (2**63 - 1, "D", "P9223372036854775807D"),
    ],
)
def test_durations(count: int, unit: str, text: str) -> None:
    assert iso_duration(count, unit) == text
    assert duration_count(text, unit) == count


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from([*SECONDS, *DIGITS, "Y", "M"]))
def test_every_count_comes_back(count: int, unit: str) -> None:
    assert duration_count(iso_duration(count, unit), unit) == count


@given(st.timedeltas())
def test_other_readers_agree(span: timedelta) -> None:
    text = iso_duration(span // timedelta(microseconds=1), "us")
    assert TypeAdapter(timedelta).validate_python(text) == span
    if abs(span) < timedelta(days=10_000):
        assert pd.Timedelta(text) == span


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *(("1 day", "s"), ("P1Y", "s"), ("P1Y", "M"), ("P1D", "Y"), ("PT0.5S", "s"), ("PT1S", "m")),
        *(("PT0.0001S", "ms"), ("P1W", "s"), ("", "s"), ("P", "s"), ("P1DT", "s"), ("PT1S\n", "s")),
    ],
)
def test_what_is_no_duration_in_a_unit_is_refused(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        duration_count(text, unit)


def test_a_unit_may_have_a_step() -> None:
    from jobserver.encoding import decode_result, encode_result

    array = np.array([1, -2], dtype="m8[15m]")
    stored = encode_result(array).value
    assert stored["data"] == ["PT15M", "-PT30M"]
    assert decode_result(stored).dtype == array.dtype
    assert decode_result(stored).tolist() == array.tolist()
