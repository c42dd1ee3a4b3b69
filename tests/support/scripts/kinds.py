"""Scripts that return their arguments; the homes of the servers in these tests have a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def kind_of(data: Any) -> str:
    """The type of the data."""
    return type(data).__name__


def index_of(data: Any) -> dict[str, Any]:
    """The type of the labels, and those of the columns."""
    columns = data.columns.tolist() if hasattr(data, "columns") else data.name
    return {"index": type(data.index).__name__, "columns": columns}


def text_at(path: str) -> list[str]:
    """What stands in a file, and its name."""
    return [Path(path).name, Path(path).read_text()]


def complain(path: Path) -> None:
    """Return where the file is."""
    raise ValueError(f"look at {path}")
