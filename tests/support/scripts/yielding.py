"""Scripts with large results; a copy lies in the home of the servers of these tests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

MIB = 2**20
HOME = Path(__file__).resolve().parents[1]


def table(rows: int, columns: int = 8) -> pd.DataFrame:
    """Numbers that anybody can make again."""
    values = np.random.default_rng(1).normal(size=(rows, columns))
    frame = pd.DataFrame(values, columns=[f"c{n}" for n in range(columns)])
    frame.iloc[0, 0], frame.iloc[1, 0] = np.nan, np.inf
    return frame


def mixed(rows: int) -> pd.DataFrame:
    """A column of each common kind, and labels with levels."""
    numbers = np.arange(rows)
    frame = pd.DataFrame(
        {
            "int": 2**53 + numbers,
            "text": [f'{n},"\u00fc"' for n in numbers],
            "zone": pd.date_range("2018-03-24", periods=rows, freq="s", tz="Europe/Berlin"),
            "category": pd.Categorical(np.array(["a", "b", "c"])[numbers % 3]),
        }
    )
    levels = [numbers // 10, numbers % 10]
    return frame.set_index(pd.MultiIndex.from_arrays(levels, names=["n", "m"]))


def cube(side: int) -> Any:
    """An array of three dimensions."""
    return np.arange(side**3, dtype="float64").reshape(side, side, side)


def within(rows: int) -> dict[str, Any]:
    """A table inside of something else."""
    return {"table": table(rows), "$odd": [1, None, {"a.b": float("nan")}]}


def text(mib: int) -> str:
    """A long text."""
    return "\u00fcber " * (mib * MIB // 6)


def binary(mib: int) -> bytes:
    """Many bytes."""
    return bytes(range(256)) * (mib * MIB // 256)


def picture(mib: int) -> bytes:
    """What looks like a picture."""
    return b"\x89PNG\r\n\x1a\n" + binary(mib)


def many(count: int) -> list[Any]:
    """Many small things."""
    return [{"n": n, "t": str(n)} for n in range(count)]


def late(mib: int, gate: str) -> bytes:
    """Many bytes, once a gate is open."""
    print("begun")
    while not (HOME / gate).exists():
        time.sleep(0.01)
    return binary(mib)
