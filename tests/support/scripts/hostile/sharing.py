"""It makes shared memory when it is imported, which all forks would have in common."""

from __future__ import annotations

import multiprocessing

VALUE = multiprocessing.Value("i", 0)


def shared() -> int:
    VALUE.value += 1
    return int(VALUE.value)
