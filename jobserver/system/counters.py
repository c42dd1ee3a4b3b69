"""Counts of what a server does; `jobserver.api.metrics` writes them for Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator

Labels = tuple[str, ...]


class Counts:
    """Sums by name and labels; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, dict[Labels, tuple[int, float]]] = defaultdict(dict)

    def add(self, name: str, labels: Labels, value: float = 0.0) -> None:
        """Count one more thing.

        Parameters
        ----------
        name : str
            Kind of thing.
        labels : tuple of str
            What tells things of this kind apart.
        value : float
            What is summed up, such as the seconds that it took.
        """
        with self._lock:
            number, total = self._sums[name].get(labels, (0, 0.0))
            self._sums[name][labels] = number + 1, total + value

    def series(self, name: str) -> Iterator[tuple[Labels, int, float]]:
        """Labels, number and sum of values of all things of a kind."""
        with self._lock:
            found = sorted(self._sums[name].items())
        return ((labels, number, total) for labels, (number, total) in found)
