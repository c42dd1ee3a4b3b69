"""The step of a time series, and how many values a period should have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: How many values a period must have at least.
Count = Annotated[int, Ge(1)]
#: The share that it must have of the values of a complete period.
Share = Annotated[float, Gt(0), Le(1)]
#: Largest deviation from a fixed step, as a share of it.
_TOLERANCE = 0.01


def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta | None:
    """Return the step between most of the ordered times; None if they have no such step."""
    steps = times.unique().to_series().diff().dropna()
    if steps.empty:
        return None
    step = steps.mode().iloc[0]
    return step if (steps == step).mean() >= 0.5 else None


def regular_step(times: pd.DatetimeIndex, why: str) -> pd.Timedelta:
    """Return the usual step.

    Raises
    ------
    ValueError
        If there is none; the message begins with the reason for needing it.
    """
    step = usual_step(times)
    if step is None:
        raise ValueError(f"{why} needs times with a regular step: resample the data first.")
    return step


def fixed_step(times: pd.DatetimeIndex, why: str) -> pd.Timedelta:
    """Return the step that all times keep, except for gaps.

    Raises
    ------
    ValueError
        If there is none: months, for example, have steps of 28 to 31 days.
    """
    step = regular_step(times, why)
    steps = times.to_series().diff().dropna() / step
    odd = (steps - steps.round()).abs() > _TOLERANCE
    if odd.any():
        raise ValueError(
            f"{why} needs a fixed step. Most steps are {step}, but the one before "
            f"{odd.idxmax()} is {steps[odd.idxmax()] * step}: resample the data to days first."
        )
    return step


def complete_counts(
    starts: pd.DatetimeIndex, ends: pd.DatetimeIndex, step: pd.Timedelta
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return how many values each period would have without gaps.

    Parameters
    ----------
    starts, ends : pandas.DatetimeIndex of shape (n,)
        Bounds of the periods.
    step : pandas.Timedelta
        Time between two values.
    """
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]
    counts = ((ends - starts) / step).to_numpy().round().astype("int64")
    return counts


def needed(complete: float, share: float) -> int:
    """Return the smallest number of values that is at least a share of the complete number."""
    import math

    return math.ceil(complete * share - 1e-6)  # 0.7 of 10 is 7, not the 8 of binary fractions
