"""Write ``data/timeseries.csv``, the example data of the guide.

12,000 hourly values drawn from a gamma distribution with a fixed seed, so that every run writes the
same file. Timestamps are UTC, to the nanosecond; values are written in full, as ``repr`` does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[1] / "data" / "timeseries.csv"
FIRST, STEP, COUNT = np.datetime64("2017-01-01T00", "ns"), np.timedelta64(1, "h"), 12_000
SEED, SHAPE, SCALE = 42, 10.0, 4.0


def timeseries() -> str:
    """Give the whole file as text: a header, then one line ``date,value`` for each hour."""
    values = np.random.default_rng(SEED).gamma(SHAPE, SCALE, COUNT).tolist()
    dates = np.datetime_as_string(FIRST + np.arange(COUNT) * STEP)
    rows = (f"{date},{value!r}\n" for date, value in zip(dates, values, strict=True))
    return "date,value\n" + "".join(rows)


if __name__ == "__main__":
    TARGET.write_text(timeseries(), encoding="ascii", newline="\n")
