"""A model that takes its time: it reports what it does until a gate is opened."""

import time
from pathlib import Path

import pandas as pd

from jobserver import current_job

GATE = Path(__file__).resolve().parents[1] / "gate"


def model(data: pd.DataFrame, factor: float = 1.0) -> pd.DataFrame:
    """Scale a time series.

    Parameters
    ----------
    factor
        What each value is multiplied by.
    """
    current_job.progress(0.4, "calibrating")
    print("calibrating with", len(data), "values")
    while not GATE.exists():
        time.sleep(0.01)
    print("scaled by", factor)
    return data.set_index("Tag") * factor
