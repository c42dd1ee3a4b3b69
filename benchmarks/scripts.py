"""The scripts that the benchmarks run; a copy lies in the home of each server."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from jobserver import current_job

_home = Path()


def on_init(app: Any) -> None:
    """Keep where the home is: jobs may not name files."""
    global _home  # noqa: PLW0603 - set once in every child
    _home = Path(app.home)


def noop() -> None:
    """Do nothing."""


def same(data: Any) -> Any:
    """Give the data back."""
    return data


def burn(seconds: float) -> None:
    """Use the processor for some seconds of its time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def doze(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def spin() -> None:
    """Never end."""
    while True:
        pass


def hold(data: Any = None) -> Any:
    """Keep a slot busy until the home has a file ``gate``; ``holders`` names the process."""
    with (_home / "holders").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not (_home / "gate").exists():
        time.sleep(0.005)
    return data


def sign() -> None:
    """Add a line with the job's id to the file ``book`` of the home, whole at once."""
    with (_home / "book").open("a") as file:
        file.write(f"{current_job.id}\n")


def table(mib: int, columns: int) -> Any:
    """A table of random numbers."""
    import numpy as np
    import pandas as pd

    values = np.random.default_rng(1).normal(size=(mib * 2**17 // columns, columns))
    return pd.DataFrame(values, columns=[f"c{n}" for n in range(columns)])


def stations(mib: int, count: int) -> Any:
    """A table of random numbers whose rows belong to stations by turns."""
    frame = table(mib, 24)
    frame["station"] = [row % count for row in range(len(frame))]
    return frame


def hold_rows(_station: Any) -> int:
    """Hold the rows of a station for a while; gives the process that did."""
    time.sleep(0.1)
    return os.getpid()


def origin() -> str:
    """Give the file that Jobserver was imported from."""
    import jobserver

    return str(jobserver.__file__)
