from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobserver.tables.errors import TableError
from jobserver.tables.loading import load

Read = Callable[..., Any]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file and read it as a script would get it."""

    def write_and_read(content: str | bytes, name: str = "a.csv", **options: Any) -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load({"path": str(path), **options}, as_path=False)

    return write_and_read


def refusal_of(reader: Callable[[Path, dict[str, Any]], object], path: Path, **options: Any) -> str:
    """Why a file cannot be read, which names no path of the server."""
    with pytest.raises(TableError) as refused:
        reader(path, options)
    assert str(path.parent) not in str(refused.value)
    return str(refused.value)
