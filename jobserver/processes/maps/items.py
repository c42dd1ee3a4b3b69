"""The items of a map: how the script is called for each of them."""

from __future__ import annotations

import copy
import os
import sys
from typing import TYPE_CHECKING, Any

import bson
from bson.errors import BSONError

from jobserver.context import current_job
from jobserver.encoding import Encoder
from jobserver.processes.forms import Binding, target
from jobserver.processes.function import AnyProcess, Process, make_process
from jobserver.processes.over import expand, kind_of
from jobserver.processes.run_context import RunContext
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

Source = dict[str, Any]
Record = dict[str, Any]
_UNREAD: Any = object()
#: Levels of the job and the result around that of an item.
_AROUND = 3
#: Characters of a message of an item.
_LONGEST = 1000


def is_function(script: Binding) -> bool:
    """Whether a script is a function of the table."""
    return bool(script.get("type", Process.type) == Process.type)


def takes_kwargs(script: Binding) -> bool:
    """Whether a script has keyword arguments of its own."""
    return "name" in script and script.get("type") not in ("map", "pipeline")


def with_kwargs(script: Binding, kwargs: dict[str, Any]) -> Binding:
    """The script with further keyword arguments."""
    return {**script, "kwargs": {**script.get("kwargs", {}), **kwargs}}


def with_item(script: Binding, item: Any) -> Binding:
    """The script with a first argument before its others."""
    return {**script, "args": [item, *script.get("args", [])]}


class Items:
    """The items of a map, and the script that is called for each.

    Parameters
    ----------
    registry : Registry
        The script table.
    binding : dict
        The map.
    source : dict or None
        Its data, as `jobserver.tables.loading` takes it.

    Attributes
    ----------
    items : sequence
        The items.
    """

    def __init__(self, registry: Registry, binding: Binding, source: Source | None) -> None:
        self._source = source
        self._registry = registry
        self._script = target(binding)
        self._kind = kind_of(binding["over"])
        self._loaded: Any = _UNREAD
        self.items = expand(binding["over"], self._load)

    @property
    def is_grid(self) -> bool:
        """Whether the items are keyword arguments."""
        return self._kind == "grid"

    def run(self, number: int) -> Any:
        """Run the script for an item; what it returns."""
        item = self.items[number]
        if self.is_grid:
            process = make_process(self._registry, with_kwargs(self._script, item))
            return process.run(self._shared(process))
        if self._kind in ("list", "range") and is_function(self._script):
            return make_process(self._registry, with_item(self._script, item)).run(None)
        return make_process(self._registry, self._script).run({"value": item})

    def _load(self, datatype: str) -> Any:
        return load({**(self._source or {}), "datatype": datatype}, as_path=False)

    def _shared(self, process: AnyProcess) -> Source | None:
        """The data of each item of a grid: read once, and a copy for each."""
        if self._source is None:
            return None
        wants_file = not isinstance(process, Process) or process.script.wants_path()
        if "path" in self._source and wants_file:
            return self._source
        if self._loaded is _UNREAD:
            self._loaded = load(self._source, as_path=False)
        return {"value": _copied(self._loaded)}


def _copied(value: Any) -> Any:
    """A copy of data, so that an item does not see what another one did to it."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    kinds: list[type] = [dict, list]
    kinds += [numpy.ndarray] if numpy else []
    kinds += [pandas.DataFrame, pandas.Series] if pandas else []
    return copy.deepcopy(value) if isinstance(value, tuple(kinds)) else value


class ItemRunner:
    """Runs items of a map in this process.

    Parameters
    ----------
    items : Items
        The items.
    course : RunContext
        Of the run.
    first : int
        Number of the first item among all that the run has seeds for.
    collect : bool
        Whether errors are kept as results.
    """

    def __init__(self, items: Items, course: RunContext, first: int, *, collect: bool) -> None:
        self.count = len(items.items)
        self.collect = collect
        self._items = items
        self._course = course
        self._first = first
        self._encoder = Encoder(around=_AROUND)
        self._pid = os.getpid()

    def follow(self) -> None:
        """Go on in the process that this one forked."""
        self._pid = os.getpid()

    def record(self, number: int) -> Record:
        """Run an item, and give its ``result``, or ``error`` and ``message``."""
        course = self._course
        depth = len(course.places)
        with course.item(self._first + number) as seed, current_job.within(0.0, 0.0, seed):
            try:
                record = {"result": self._encoder.encode(self._items.run(number))}
            except BaseException as error:  # a script may raise anything
                record = self._failure(number, error, depth)
        if os.getpid() != self._pid:  # the script forked, and this is the copy
            os._exit(0)
        self._warn(number)
        return record

    def encoded(self, number: int) -> bytes:
        """The record of an item as BSON."""
        record = self.record(number)
        try:
            return bson.encode(record)
        except (MemoryError, OverflowError, BSONError) as error:
            return bson.encode(self._failure(number, error, len(self._course.places)))

    def _failure(self, number: int, error: BaseException, depth: int) -> Record:
        self._warn(number)
        self._encoder = Encoder(around=_AROUND)
        failure = self._course.describe(error, not self.collect)
        text = (self._course.where(depth) + failure.message)[:_LONGEST]
        text = text.encode(errors="replace").decode()
        if self.collect:
            self._course.say(f"item {number + 1}: {text}")
        return {"error": failure.error, "message": text}

    def _warn(self, number: int) -> None:
        while self._encoder.warnings:
            self._course.say(f"item {number + 1}: {self._encoder.warnings.pop()}")
