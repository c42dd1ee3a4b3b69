"""What the home of every test server offers beside the shipped scripts."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

from jobserver import current_job

GATE = Path(__file__).resolve().parents[1] / "gate"


def noop() -> None:
    """Do nothing."""


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def fail(text: str = "failed on purpose") -> None:
    """Raise."""
    raise ValueError(text)


def echo(data: Any) -> Any:
    """Give the data back."""
    return data


def odd_keys() -> dict[Any, int]:
    """Give keys that no database likes."""
    return {5: 1, "a.b": 2, "$c": 3, "": 4, "nul\0": 5, "back\\slash": 6}


def size_of(file: Path) -> int:
    """The size of a data file."""
    return file.stat().st_size


def text_of(size: int) -> str:
    """So many letters."""
    return "x" * size


def many_lists() -> list[Any]:
    """Return lists that take nearly as much as a job's document can hold."""
    return [[1] for _ in range(400_000)]


def hold(seconds: float = 30.0) -> None:
    """Run until the gate is opened."""
    end = time.monotonic() + seconds
    while not GATE.exists() and time.monotonic() < end:
        time.sleep(0.01)


def chatter(lines: int = 3, fails: bool = False) -> None:
    """Print, log and write to stderr."""
    for number in range(lines):
        print("printed", number)
    print("complained", file=sys.stderr)
    if fails:
        raise ValueError("failed on purpose")
    logging.getLogger("chatter").info("logged")


def advance(steps: int = 4) -> None:
    """Report progress."""
    for step in range(1, steps + 1):
        current_job.progress(step / steps, f"step {step}")
