"""What may be handed to another child: only what comes back as it was."""

from __future__ import annotations

from typing import Any

import bson
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.encoding import Encoder, decode_result
from jobserver.models.alike import alike

TIMES = pd.date_range("2018-01-01", periods=3, freq="D")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def stored(value: Any) -> Any:
    return decode_result(bson.decode(bson.encode({"": Encoder().encode(value)}))[""])


@given(JSON)
def test_json_comes_back(value: Any) -> None:
    assert alike(value, stored(value))


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"date": list(TIMES), "value": [1.0, np.nan, 3.0]}),
        pd.DataFrame({"text": ["a", None, "c"], "flag": [True, False, True]}),
        pd.Series([1, 2], name="n"),
        pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_arrays([[1], ["a"]], names=["x", "y"])),
        np.arange(6.0).reshape(2, 3),
        [pd.Series([1.5]), {"a": [np.nan]}],
    ],
)
def test_tables_come_back(value: Any) -> None:
    if not isinstance(value, list):
        assert alike(value, stored(value))
    assert alike(value, value)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: 2},
        object(),
        np.float64(1.5),
        pd.Series([1.0, 2.0, 3.0], index=TIMES),  # its frequency is not kept
        pd.DataFrame({"a": [1, 2, 3]}).iloc[1:],  # nor is a range of labels
        [{"a": (1,)}],
    ],
)
def test_what_changes_is_seen(value: Any) -> None:
    assert not alike(value, stored(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ([1], [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (pd.Series([1], name="a"), pd.Series([1], name="b")),
        (np.array([1]), np.array([1.0])),
        (float("nan"), 0.0),
    ],
)
def test_differences_are_seen(one: Any, other: Any) -> None:
    assert not alike(one, other)
