"""The filters of baseflow, against other ways to write them and values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.scripts import baseflow
from jobserver.scripts.registry import Registry, ScriptSources

FLOWS = st.lists(st.floats(0, 1e4), min_size=3, max_size=80)


def daily(flow: Any) -> pd.DataFrame:
    return pd.DataFrame({"date": pd.date_range("2020-01-01", periods=len(flow)), "q": flow})


def test_lyne_hollick_by_hand() -> None:
    # Reflected: 2 3 | 1 3 2 | 3 1. With alpha 0.5 the pass gives 2, 2.25, 1, 1.5, 2.
    found = baseflow(daily([1.0, 3.0, 2.0]), alpha=0.5, passes=1)
    assert found["baseflow"].tolist() == [1.0, 1.5, 2.0]
    assert found["flow"].tolist() == [1.0, 3.0, 2.0]
    assert found["bfi"].tolist() == [0.75] * 3
    assert found.index.tolist() == pd.date_range("2020-01-01", periods=3).tolist()


def quickflow(flow: list[float], alpha: float) -> list[float]:
    """The filter of the paper: f[i] = a f[i-1] + (1 + a) / 2 (q[i] - q[i-1]), not negative."""
    found = [0.0]
    for place in range(1, len(flow)):
        rise = flow[place] - flow[place - 1]
        found.append(max(0.0, alpha * found[-1] + (1 + alpha) / 2 * rise))
    return found


@given(FLOWS, st.floats(0.01, 0.99))
def test_lyne_hollick_leaves_the_flow_without_quickflow(flow: list[float], alpha: float) -> None:
    extra = min(30, len(flow) - 1)
    rest = [*flow[extra:0:-1], *flow, *flow[-2 : -2 - extra : -1]]
    for backward in (False, True, False):
        rest = rest[::-1] if backward else rest
        rest = [q - f for q, f in zip(rest, quickflow(rest, alpha), strict=True)]
        rest = rest[::-1] if backward else rest
    found = baseflow(daily(flow), alpha=alpha)["baseflow"]
    assert found.tolist() == pytest.approx(rest[extra : extra + len(flow)], abs=1e-6)


@given(FLOWS, st.sampled_from(["lyne_hollick", "eckhardt"]))
def test_baseflow_is_a_part_of_the_flow(flow: list[float], method: Any) -> None:
    found = baseflow(daily(flow), method=method)
    assert (found["baseflow"] <= found["flow"]).all()
    assert (found["baseflow"] >= 0).all()
    if sum(flow):
        assert found["bfi"].iloc[0] == pytest.approx(found["baseflow"].sum() / sum(flow))
    else:
        assert found["bfi"].isna().all()


def test_steady_flow_is_baseflow_up_to_its_limit() -> None:
    steady = daily([5.0] * 50)
    assert baseflow(steady)["baseflow"].tolist() == pytest.approx([5.0] * 50)
    for limit in (0.25, 0.5, 0.8):
        found = baseflow(steady, method="eckhardt", bfi_max=limit)
        assert found["bfi"].iloc[0] == pytest.approx(limit)


def test_eckhardt_is_a_linear_filter_where_flow_limits_nothing() -> None:
    from scipy.signal import lfilter  # takes a second to import

    flow = 10 + 3 * np.sin(np.arange(200) / 5)
    a, most = 0.97, 0.6
    weights = [(1 - a) * most / (1 - a * most)], [1, -(1 - most) * a / (1 - a * most)]
    start = most * flow[0]
    expected = lfilter(*weights, flow[1:], zi=[-weights[1][1] * start])[0]
    found = baseflow(daily(flow), method="eckhardt", alpha=a, bfi_max=most)
    assert found["baseflow"].tolist() == pytest.approx([start, *expected])


def test_eckhardt_with_half_is_the_filter_of_chapman_and_maxwell() -> None:
    # K. Eckhardt (2005) derives b[i] = a / (2 - a) b[i-1] + (1 - a) / (2 - a) q[i], which
    # Chapman and Maxwell published in 1996, as the case of BFImax = 0.5.
    flow = [4.0, 6.0, 9.0, 7.0, 5.0]
    a, base = 0.9, [2.0]
    for q in flow[1:]:
        base.append(a / (2 - a) * base[-1] + (1 - a) / (2 - a) * q)
    found = baseflow(daily(flow), method="eckhardt", alpha=a, bfi_max=0.5)
    assert found["baseflow"].tolist() == pytest.approx(base)


@pytest.mark.parametrize("method", ["lyne_hollick", "eckhardt"])
def test_parts_between_gaps_are_filtered_by_themselves(
    method: Any, caplog: pytest.LogCaptureFixture
) -> None:
    flow = [1.0, 5.0, 2.0, 1.0, 9.0, 4.0, 3.0, 2.0]
    whole = daily(flow)
    whole.loc[3, "q"] = None
    found = baseflow(whole, method=method)["baseflow"]
    parts = [baseflow(part, method=method)["baseflow"] for part in (whole[:3], whole[4:])]
    assert found.tolist() == pd.concat(parts).tolist()
    assert baseflow(whole.drop(3), method=method)["baseflow"].tolist() == found.tolist()
    assert caplog.messages == ["gaps in the flow: 1; each part is filtered by itself"] * 2


def test_a_step_other_than_a_day_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    hourly = daily([1.0, 2.0, 3.0]).assign(date=pd.date_range("2020", periods=3, freq="h"))
    baseflow(hourly)
    assert "meant for daily flow, but the step is 1 hour" in caplog.text


def test_flow_that_cannot_be_filtered_is_refused() -> None:
    with pytest.raises(ValueError, match="negative flows: 1, such as -999 at 2020-01-02"):
        baseflow(daily([1.0, -999.0, 2.0]))
    with pytest.raises(ValueError, match="needs times with a regular step"):
        baseflow(daily([1.0]))


def test_its_parameters_are_checked_before_a_run() -> None:
    script = Registry.load(ScriptSources(None)).lookup("baseflow")
    wrong = {"alpha": 1, "passes": 0, "bfi_max": 0, "method": "x", "column": ["q"], "time": 1}
    found = [each.field for each in script.problems([], wrong, True)]
    assert found == [f"kwargs.{name}" for name in wrong]
    assert script.problems([], {"alpha": 0.95, "passes": 3, "bfi_max": 0.5}, True) == []
