"""What children tell of a run. User code shares their process: nothing they say is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobserver.encoding import describes_file
from jobserver.execution import clipped
from jobserver.models.job import State
from jobserver.models.outcome import DISTURBED, Outcome


def ended(message: Mapping[str, Any], folder: str) -> Outcome:
    """The outcome that the last message of an attempt tells.

    Parameters
    ----------
    folder : str
        Where the attempt left the file of a large result.
    """
    if message.get("state") != State.FINISHED:
        error, text = clipped(str(message.get("error"))), clipped(str(message.get("message")))
        return Outcome(State.FAILED, error=error, message=text)
    if "file" not in message:
        return Outcome(State.FINISHED, message.get("result"))
    file = message["file"]
    if not describes_file(file):
        return DISTURBED
    path = str(Path(folder, file["name"]))
    return Outcome(State.FINISHED, file={"path": path, "kind": file["kind"], "form": file["form"]})


def progress(message: Mapping[str, Any]) -> tuple[float, str | None]:
    """Fraction and text of a report."""
    fraction, text = message.get("fraction"), message.get("message")
    number = float(fraction) if isinstance(fraction, int | float) else 0.0
    return number, None if text is None else clipped(str(text))
