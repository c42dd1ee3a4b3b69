"""What children tell of a run. User code shares their process: nothing they say is trusted."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

from jobserver.database import Document
from jobserver.encoding import describes_file
from jobserver.models.job import State
from jobserver.models.messages import clipped
from jobserver.models.outcome import DISTURBED, Outcome

#: The most that is kept of what a run depends on: steps, packages, characters of a text.
_MOST, _LONGEST = 200, 200


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
    """What a run depends on, as `jobserver.provenance` tells it."""
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


_NO_OPERATOR = str.maketrans("", "", "$.\0")


def _text(value: Any) -> str:
    return clipped(str(value)[:_LONGEST])
