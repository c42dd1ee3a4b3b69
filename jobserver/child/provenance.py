"""What a run depends on, so that it can be repeated: script, packages, data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobserver.encoding import dumps
from jobserver.errors import ApiError
from jobserver.processes.forms import as_script, target
from jobserver.processes.kinds import make_process
from jobserver.scripts.version import base_packages
from jobserver.system.disk import checksum

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry
    from jobserver.system.protocol import Message

#: Steps that are looked back on for the same one: a long pipeline repeats a few.
_NEAR = 50


def provenance(registry: Registry, spec: Message) -> dict[str, Any]:
    """What a run is about to depend on; what cannot be told is left out.

    Parameters
    ----------
    registry : Registry
        The script table.
    spec : dict
        See `jobserver.child.attempt.Attempt`.

    Returns
    -------
    dict
        ``script`` (``type``, ``name``, ``module``, ``version``), ``packages`` (versions by name)
        and ``data`` (``sha256`` and ``size`` in bytes) where data is bound: those of a
        data file as it is, of data from the database as BSON, of raw data as JSON without spaces.
    """
    try:
        origin = _origin(registry, spec["script"])
    except (ApiError, OSError):  # it is gone: the run will say so
        origin = {"script": {}, "packages": {}}
    told = {**origin, "packages": {**base_packages(), **origin["packages"]}}
    data = _data(spec["data"])
    return {**told, "data": data} if data else told


def _origin(registry: Registry, script: dict[str, Any]) -> dict[str, Any]:
    """Where a script comes from; one that is made of others comes from all of theirs."""
    kind = script.get("type")
    if kind not in ("pipeline", "map"):
        return make_process(registry, script).origin()
    made_of = [target(script)] if kind == "map" else map(as_script, script["steps"])
    origins = [_origin(registry, part) for part in made_of]
    steps: list[dict[str, Any]] = []
    for origin in origins:
        found = origin["script"].get("steps", [origin["script"]])
        steps += [step for step in found if step not in steps[-_NEAR:]]
    packages = {name: text for origin in origins for name, text in origin["packages"].items()}
    return {"script": {"type": script["type"], "steps": steps}, "packages": packages}


def _data(source: dict[str, Any] | None) -> dict[str, Any] | None:
    if source is None:
        return None
    if "value" in source:
        text = dumps(source["value"])
        return {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)}
    try:
        digest, size = checksum(Path(source["stored"] if "stored" in source else source["path"]))
    except OSError:  # it is gone: the run will say so
        return None
    return {"sha256": digest, "size": size}
