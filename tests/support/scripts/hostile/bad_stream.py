"""It replaces the standard output by something that fails."""

from __future__ import annotations

import sys
from typing import Any


class Stream:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        raise KeyError("no")


broken: Any = Stream()
sys.stdout = broken


def streamed() -> str:
    return "streamed"
