"""What children tell of a run. User code shares their process: nothing they say is trusted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import bson
from bson.raw_bson import RawBSONDocument

from jobserver.encoding import describes_file
from jobserver.home.settings import Settings, public_values
from jobserver.jobs.job import State
from jobserver.jobs.outcome import DISTURBED, Outcome
from jobserver.processes.run_context import clipped
from jobserver.storage.database import Document
from jobserver.system.protocol import Message

#: The most that is kept of what a run depends on: steps, packages, characters of a text.
_MOST, _LONGEST = 200, 200
_NO_OPERATOR = str.maketrans("", "", "$.\0")


def ended(message: RawBSONDocument, folder: str) -> Outcome:
    """The outcome that the last message of an attempt tells.

    Parameters
    ----------
    folder : str
        Where the attempt left the file of a large result.

    Raises
    ------
    bson.errors.BSONError
        If it is malformed anywhere: the database looks at its structure only.
    """
    bson.decode(message.raw)
    if message.get("state") == State.FAILED:
        error, text = clipped(str(message.get("error"))), clipped(str(message.get("message")))
        return Outcome(State.FAILED, error=error, message=text)
    if message.get("state") != State.FINISHED:
        return DISTURBED
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


def provenance(message: Mapping[str, Any]) -> Document:
    """What a run depends on, as `jobserver.child.provenance` tells it."""
    told = _mapping(message.get("provenance"))
    script = _mapping(told.get("script"))
    plain = {name: script[name] for name in script if name != "steps"}
    found: Document = {"script": _texts(plain), "packages": _texts(told.get("packages"))}
    if isinstance(steps := script.get("steps"), list):
        found["script"]["steps"] = [_texts(step) for step in steps[:_MOST]]
    data = _mapping(told.get("data"))
    if isinstance(size := data.get("size"), int):
        found["data"] = {"sha256": _text(data.get("sha256")), "size": size}
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> Document:
    """The texts of an object by their names, not endless."""
    items = islice(_mapping(value).items(), _MOST)
    plain = {_text(key).translate(_NO_OPERATOR): _text(text) for key, text in items if text}
    return {key: text for key, text in plain.items() if key}


def _text(value: Any) -> str:
    return clipped(str(value)[:_LONGEST])


def setup_message(settings: Settings, runs: bool = True) -> Message:
    """What a child needs to load its scripts, and no secret among it.

    Parameters
    ----------
    settings : Settings
        Where scripts are, and what they may know.
    runs : bool
        Whether the child will run scripts, or only look at them.
    """
    return {
        "runs": runs,
        "can_fork": sys.platform == "linux",
        "import_timeout": settings.SCRIPT_IMPORT_TIMEOUT,
        "home": str(settings.home),
        "scripts": str(settings.scripts_path),
        "modules": list(settings.SCRIPT_MODULES),
        "files": settings.files_path and str(settings.files_path),
        "code": settings.PROCESS_EVAL_ALLOWED,
        "output": settings.JOB_OUTPUT_LIMIT,
        "config": public_values(settings),
    }


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
