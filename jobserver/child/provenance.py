"""What a run depends on, so that it can be repeated: script, packages, data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.encoding import dumps
from jobserver.errors import ApiError
from jobserver.processes.forms import Binding, as_script, target
from jobserver.processes.function import Origin
from jobserver.processes.kinds import make_process
from jobserver.scripts.version import base_packages
from jobserver.system.disk import checksum
from jobserver.system.protocol import Message

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

#: Number of recent steps among which repeated ones are found: a long pipeline repeats a few.
_NEAR = 50


def provenance(registry: Registry, script: Binding, data: Message | None) -> Message:
    """Return what a run is about to depend on, as far as it is known.

    Parameters
    ----------
    registry : Registry
        The script table.
    script, data : dict
        See `jobserver.system.protocol.RunSpec`.

    Returns
    -------
    dict
        ``script`` (``type``, ``name``, ``module``, ``version``), ``packages`` (versions by name)
        and, if data is bound, ``data`` (``sha256`` and ``size`` in bytes): of a data file as it
        is, of data from the database as BSON, of raw data as JSON without spaces.
    """
    try:
        origin = _origin(registry, script)
    except (ApiError, OSError):  # it is gone: the run will fail on it
        origin = Origin(script={}, packages={})
    found: Message = {
        "script": origin["script"],
        "packages": {**base_packages(), **origin["packages"]},
    }
    checked = _checksum(data)
    return {**found, "data": checked} if checked else found


def _origin(registry: Registry, script: Binding) -> Origin:
    """Return where a script comes from; for one made of others, where all of them come from."""
    kind = script.get("type")
    if kind not in ("pipeline", "map"):
        return make_process(registry, script).origin()
    made_of = [target(script)] if kind == "map" else map(as_script, script["steps"])
    origins = [_origin(registry, part) for part in made_of]
    steps: list[dict[str, object]] = []
    for origin in origins:
        found = origin["script"].get("steps", [origin["script"]])
        steps += [step for step in found if step not in steps[-_NEAR:]]
    packages = {name: text for origin in origins for name, text in origin["packages"].items()}
    return {"script": {"type": script["type"], "steps": steps}, "packages": packages}


def _checksum(source: Message | None) -> dict[str, object] | None:
    if source is None:
        return None
    if "value" in source:
        text = dumps(source["value"])
        return {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    try:
        digest, size = checksum(Path(source["stored"] if "stored" in source else source["path"]))
    except OSError:  # it is gone: the run will fail on it
        return None
    return {"sha256": digest, "size": size}
