"""The plan of a map: a file that tells other children of its job what the items are.

What a script could not be given again exactly as it is, such as an object of a class of its own, is
never written: the map is then carried out by one child.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bson
from bson.errors import BSONError

from jobserver.encoding import Encoder, decode_result
from jobserver.errors import JobserverError
from jobserver.models.alike import alike
from jobserver.models.items import Items

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

PLAN = "plan"
#: Cells of a table that is handed to other children.
_LARGEST = 5_000_000

Content = dict[str, Any]


def read_plan(registry: Registry, path: Path) -> tuple[Items, bool]:
    """The items of a plan, and whether their errors are collected."""
    content = bson.decode(path.read_bytes())
    source = content["source"]
    if "value" in content:
        source = {**source, "value": decode_result(content["value"])}
    items = Items(registry, content["map"], source)
    return items, bool(content["map"].get("collect_errors"))


def write_plan(items: Items, path: Path) -> bool:
    """Write what another child needs to run items; False if that cannot be written."""
    source = items.source
    content: Content = {"map": items.binding, "source": source}
    try:
        if source and "value" in source:
            rest = {name: option for name, option in source.items() if name != "value"}
            content |= {"source": rest, "value": _exactly(source["value"])}
        path.write_bytes(bson.encode(content))
    except (BSONError, OverflowError, JobserverError, _Inexact):
        return False
    return True


class _Inexact(Exception):
    """A value would not be the same in another child."""


def _exactly(value: Any) -> Any:
    """A value as it is stored, if it comes back as it was."""
    encoder = Encoder(largest=_LARGEST)
    stored = encoder.encode(value)
    back = decode_result(bson.decode(bson.encode({"": stored}))[""])
    if encoder.warnings or not alike(value, back):
        raise _Inexact
    return stored
