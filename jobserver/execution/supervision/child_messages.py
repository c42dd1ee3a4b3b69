"""What children report about runs, checked: user code shares their process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import bson
from bson.raw_bson import RawBSONDocument

from jobserver.encoding import describes_file
from jobserver.home.settings import Settings, public_values
from jobserver.jobs.job import State
from jobserver.jobs.outcome import CHANNEL_BROKEN, Outcome
from jobserver.processes.run_context import clipped
from jobserver.storage.database import Document
from jobserver.system.protocol import Setup

#: Whether forking a process with libraries loaded is safe on this system.
CAN_FORK = sys.platform == "linux"
#: Limits of a provenance: steps or packages, and characters of a text.
_MOST, _LONGEST = 200, 200
_NO_OPERATOR = str.maketrans("", "", "$.\0")


def parse_outcome(message: RawBSONDocument, folder: str) -> Outcome:
    """Return the outcome that the last message of an attempt reports.

    Parameters
    ----------
    folder : str
        Where the attempt left the file of a large result.

    Raises
    ------
    bson.errors.BSONError
        If any part of it is malformed: the database would check its structure only.
    """
    bson.decode(message.raw)
    if message.get("state") == State.FAILED:
        error, text = clipped(str(message.get("error"))), clipped(str(message.get("message")))
        return Outcome(State.FAILED, error=error, message=text)
    if message.get("state") != State.FINISHED:
        return CHANNEL_BROKEN
    if "file" not in message:
        return Outcome(State.FINISHED, message.get("result"))
    file = message["file"]
    if not describes_file(file):
        return CHANNEL_BROKEN
    path = str(Path(folder, file["name"]))
    return Outcome(State.FINISHED, file={"path": path, "kind": file["kind"], "form": file["form"]})


def parse_progress(message: Mapping[str, object]) -> tuple[float, str | None]:
    """Return the fraction and the text of a progress report."""
    fraction, text = message.get("fraction"), message.get("message")
    number = float(fraction) if isinstance(fraction, int | float) else 0.0
    return number, None if text is None else clipped(str(text))


def parse_provenance(message: Mapping[str, object]) -> Document:
    """Return what a run depends on; see `jobserver.child.provenance`."""
    reported = _mapping(message.get("provenance"))
    script = _mapping(reported.get("script"))
    plain = {name: script[name] for name in script if name != "steps"}
    found: Document = {"script": _texts(plain), "packages": _texts(reported.get("packages"))}
    if isinstance(steps := script.get("steps"), list):
        found["script"]["steps"] = [_texts(step) for step in steps[:_MOST]]
    data = _mapping(reported.get("data"))
    if isinstance(size := data.get("size"), int):
        found["data"] = {"sha256": _text(data.get("sha256")), "size": size}
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> Document:
    """Return the texts of an object by name, a limited number."""
    items = islice(_mapping(value).items(), _MOST)
    plain = {_text(key).translate(_NO_OPERATOR): _text(text) for key, text in items if text}
    return {key: text for key, text in plain.items() if key}


def _text(value: object) -> str:
    return clipped(str(value)[:_LONGEST])


def setup_message(settings: Settings, runs: bool = True) -> Setup:
    """Return what a child needs to load its scripts.

    Parameters
    ----------
    runs : bool
        Whether the child will run scripts, or only describe and check them.
    """
    return {
        "runs": runs,
        "can_fork": CAN_FORK,
        "import_timeout": settings.SCRIPT_IMPORT_TIMEOUT,
        "home": str(settings.home),
        "scripts": str(settings.scripts_path),
        "modules": list(settings.SCRIPT_MODULES),
        "files": str(settings.files_path) if settings.files_path else None,
        "code": settings.PROCESS_EVAL_ALLOWED,
        "user": settings.RUN_AS,
        "output": settings.JOB_OUTPUT_LIMIT,
        "config": public_values(settings),
    }
