"""Scripts that sign a book at their begin and end; a copy lies in the home of each fleet."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

from jobserver import current_job

_home = Path()


def on_init(app: Any) -> None:
    """Keep where the home is."""
    global _home  # noqa: PLW0603 - set once in every child
    _home = Path(app.home)


def _sign(word: str) -> None:
    line = f"{word} {current_job.id} {current_job.attempt}\n"
    with (_home / "book").open("a") as book:  # appended whole at once
        book.write(line)


def noop() -> None:
    """Do nothing."""


def work(seconds: float) -> dict[str, Any]:
    """Take some time."""
    _sign("begin")
    print("begun")
    time.sleep(seconds)
    _sign("end")
    return {"id": current_job.id, "attempt": current_job.attempt}


def compute(seconds: float) -> dict[str, Any]:
    """Take some time of the processor."""
    _sign("begin")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        current_job.progress(0.5, "computing")
    _sign("end")
    return {"id": current_job.id, "attempt": current_job.attempt}


def beget(seconds: float) -> dict[str, Any]:
    """Leave processes in sessions of their own."""
    _sign("begin")
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.run(["sh", "-c", "setsid sleep 600 & exit"], check=True)
    time.sleep(seconds)
    _sign("end")
    return {"id": current_job.id, "attempt": current_job.attempt}


def open_book() -> list[int]:
    """Begin a line; its items."""
    _sign("begin")
    return [0, 1, 2]


def item(number: int, seconds: float) -> int:
    """Sign for an item of a line."""
    _sign(f"item{number}")
    time.sleep(seconds)
    return number


def close_book(data: list[int]) -> dict[str, Any]:
    """End a line."""
    _sign("end")
    return {"id": current_job.id, "attempt": current_job.attempt, "items": data}


def fail(seconds: float) -> None:
    """Raise."""
    _sign("begin")
    time.sleep(seconds)
    raise ValueError("failed on purpose")


def crash(seconds: float) -> None:
    """End the process."""
    _sign("begin")
    time.sleep(seconds)
    os.abort()
