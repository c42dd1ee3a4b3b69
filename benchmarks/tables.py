"""Reading long and wide tables, beside pandas with the same options, by turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure, percentile

#: Rows, columns and share of missing numbers of each table, and the ratio aimed at.
_TABLES = (
    (200_000, 1, 0.0, 1.3),
    (200_000, 6, 0.0, 1.3),
    (200_000, 6, 0.02, 4),
    (20, 10_000, 0.0, 10),
)


def measure(quick: bool) -> list[Figure]:
    """Read tables of one and of six columns of numbers, with words for missing ones, and wide."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for rows, columns, missing, ratio in _TABLES:
            path = Path(folder) / f"{rows}-{columns}-{missing}.csv"
            _write(path, rows, columns, missing)
            ours, theirs = _alternating(path, 5 if quick else 31)
            what = f"{rows:,} rows of a time and {columns:,} numbers{' or NA' * bool(missing)}"
            figures += [
                Figure(f"{what}, p50", percentile(ours, 50) * 1000, "ms"),
                Figure(f"{what}: pandas.read_csv, p50", percentile(theirs, 50) * 1000, "ms"),
                Figure("ratio", percentile(ours, 50) / percentile(theirs, 50), at_most=ratio),
            ]
    return figures


def _write(path: Path, rows: int, columns: int, missing: float) -> None:
    import numpy as np
    import pandas as pd

    times = pd.date_range("2000-01-01", periods=rows, freq="15min")
    random = np.random.default_rng(1)
    values = random.gamma(2, 20, (rows, columns)).round(3)
    values[random.random(values.shape) < missing] = np.nan
    table = pd.DataFrame(values, times, [f"q{n}" for n in range(columns)])
    table.to_csv(path, index_label="time", na_rep="NA")


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
