"""Who is told what a run does while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Watcher(Protocol):
    """What a run tells while it goes on."""

    def output(self, text: bytes) -> None:
        """Take what the script printed."""

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""

    def step(self, message: Mapping[str, Any]) -> None:
        """Take which step of a pipeline begins."""

    def part(self, begin: float, end: float) -> None:
        """Take which part of the whole the progress bars that follow are about."""

    def tick(self) -> None:
        """Do what is due; called a few times a second."""
