"""What a benchmark gives: figures, each with the aim it is held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    what : str
        What was measured.
    value : float
        In ``unit``; a plain count or ratio has none.
    at_most, at_least : float, optional
        The aim, where there is one.
    """

    what: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def aim(self) -> str:
        """The aim in words, and whether it is missed."""
        if self.at_most is not None:
            return _aim("at most", self.at_most, self.value <= self.at_most)
        if self.at_least is not None:
            return _aim("at least", self.at_least, self.value >= self.at_least)
        return ""

    def row(self) -> tuple[str, str, str]:
        """What was measured, the value with its unit, the aim."""
        return self.what, f"{readable(self.value)} {self.unit}".strip(), self.aim


def _aim(words: str, limit: float, met: bool) -> str:
    return f"{words} {limit:g}" + ("" if met else ", missed")


def readable(value: float) -> str:
    """A number in three digits, or whole where it is large."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that ``percent`` % of them do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]
