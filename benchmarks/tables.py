"""Reading a table of 200,000 rows, beside pandas with the same options, by turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, percentile

_ROWS = 200_000


def measure(quick: bool) -> list[Figure]:
    """Read tables with one and with six columns of numbers."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for columns in (1, 6):
            path = Path(folder) / f"{columns}.csv"
            _write(path, columns)
            ours, theirs = _alternating(path, 5 if quick else 31)
            what = f"{_ROWS:,} rows of a time and {columns} numbers"
            figures += [
                Figure(f"{what}, p50", percentile(ours, 50) * 1000, "ms"),
                Figure(f"{what}: pandas.read_csv, p50", percentile(theirs, 50) * 1000, "ms"),
                Figure("ratio", percentile(ours, 50) / percentile(theirs, 50), at_most=1.3),
            ]
    return figures


def _write(path: Path, columns: int) -> None:
    import numpy as np
    import pandas as pd

    times = pd.date_range("2000-01-01", periods=_ROWS, freq="15min")
    values = np.random.default_rng(1).gamma(2, 20, (_ROWS, columns)).round(3)
    table = pd.DataFrame(values, times, [f"q{n}" for n in range(columns)])
    table.to_csv(path, index_label="time")


def _alternating(path: Path, rounds: int) -> tuple[list[float], list[float]]:
    import pandas as pd

    from jobserver.tables.loading import load

    pairs = [
        (
            _seconds(lambda: load({"path": str(path)}, as_path=False)),
            _seconds(lambda: pd.read_csv(path, parse_dates=["time"])),
        )
        for _ in range(rounds)
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _seconds(read: Callable[[], object]) -> float:
    began = time.perf_counter()
    read()
    return time.perf_counter() - began
