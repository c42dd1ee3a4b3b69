"""Scripts to make pipelines and maps of; a copy lies in the home of the servers of these tests."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobserver import current_job

if TYPE_CHECKING:
    import pandas as pd

HOME = Path(__file__).resolve().parents[1]


class Opaque:
    """What has no form in the database."""

    def __init__(self, value: Any) -> None:
        self.value = value


def same(data: Any) -> Any:
    """Give the data back."""
    return data


def kind(data: Any) -> str:
    """The name of the type of the data."""
    return type(data).__name__


def wrap(data: Any) -> Opaque:
    """Put the data into an object."""
    return Opaque(data)


def unwrap(data: Opaque) -> Any:
    """Take it out again."""
    return data.value


def monthly(data: pd.DataFrame) -> pd.Series:
    """Means of the months."""
    series: pd.Series = data.set_index("date")["value"].resample("MS").mean()
    return series


def figure(data: pd.Series) -> Any:
    """Draw it."""
    from matplotlib.figure import Figure

    drawn = Figure()
    drawn.subplots().plot(data)
    return drawn


def half(x: float) -> float:
    """Divide by two."""
    return x / 2


def both(a: int, b: int = 10) -> list[int]:
    """Give the arguments back."""
    return [a, b]


def refuse(x: int, bad: list[int]) -> int:
    """Raise for some numbers."""
    print("item", x)
    if x in bad:
        raise ValueError(f"not {x}")
    return x


def end_at(x: int, bad: list[int]) -> int:
    """End the process at some numbers."""
    note(x, "ends")
    if x in bad:
        os._exit(7)
    return x


def note(x: int, name: str) -> int:
    """Add a line with the item, the attempt and the process to a file of the home."""
    with (HOME / name).open("a") as file:
        file.write(f"{x} {current_job.attempt} {os.getpid()}\n")
    return x


def meet(x: int, name: str, parties: int) -> int:
    """Wait until several processes are here; gives how many came."""
    (HOME / f"{name}-{x}").touch()
    due = time.monotonic() + 20
    while (met := len(list(HOME.glob(f"{name}-*")))) < parties and time.monotonic() < due:
        time.sleep(0.01)
    return met


def stay(x: int, name: str) -> int:
    """Say the item, and wait until the home has a file."""
    print(f"begun {x}")
    while not (HOME / name).exists():
        time.sleep(0.01)
    return x


def fill(x: int, mib: int) -> int:
    """Take memory where the item is odd."""
    return len(bytearray(mib * 2**20)) if x % 2 else 0


def keep_filled(x: int, mib: int, seconds: float) -> int:
    """Take memory for a while."""
    memory = bytearray(mib * 2**20)
    time.sleep(seconds)
    return len(memory) + x


def spoil(data: Any, by: float) -> float:
    """Change the data, and give what it was."""
    value = float(data["value"].iloc[0])
    data["value"] = 0.0
    return value * by


def rows(data: Any) -> int:
    """How many there are."""
    return len(data)


def station(row: dict[str, Any]) -> str:
    """Describe a row."""
    return f"{row['name']}: {row['level']}"


def path_of(file: Path) -> str:
    """The name of a file."""
    return file.name


def report(x: int) -> int:
    """Report progress of its own."""
    current_job.progress(0.99, "nearly there")
    return x


def max_of(data: list[int]) -> int:
    """The largest."""
    return max(data)


def kinds(data: list[Any]) -> list[str]:
    """The names of the types."""
    return [type(each).__name__ for each in data]


def wrapped(data: list[Any]) -> list[Opaque]:
    """Put each into an object."""
    return [Opaque(each) for each in data]
