"""What a run as another user can see and do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def look(data: pd.DataFrame, home: str) -> dict[str, Any]:
    """Try what only the server's user may do."""
    server = int(Path(home, "server.pid").read_text())
    return {
        "rows": len(data),
        "user": os.getuid(),
        "groups": os.getgroups(),
        "config": _works(lambda: Path(home, "config.py").read_text()),
        "db": _works(lambda: [*Path(home, "db").iterdir()]),
        "scripts": _works(lambda: Path(home, "scripts", "new.py").touch()),
        "signal": _works(lambda: os.kill(server, 0)),
        "environ": _works(lambda: Path(f"/proc/{server}/environ").read_text()),
    }


def _works(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return False
    return True


def large() -> pd.DataFrame:
    """Return more than fits into a job, and write where a run may."""
    Path("own").write_text("it may write here")
    return pd.DataFrame({"a": np.arange(2_000_000)})


def wait() -> None:
    """Wait to be cancelled."""
    threading.Event().wait()
