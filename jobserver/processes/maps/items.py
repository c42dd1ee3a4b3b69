"""The items of a map, and running the script for each of them."""

from __future__ import annotations

import copy
import os
import sys
from typing import Any

import bson
from bson.errors import BSONError

from jobserver.context import current_job
from jobserver.encoding import Encoder
from jobserver.processes.forms import Binding, target
from jobserver.processes.function import AnyProcess, MakeProcess, Process
from jobserver.processes.over import expand, over_kind
from jobserver.processes.run_context import RunContext
from jobserver.tables.loading import load

Source = dict[str, object]
Record = dict[str, Any]
_UNREAD: object = object()
#: Levels of the job's document around the result of an item.
_AROUND = 3
#: Characters of an item's message.
_LONGEST_MESSAGE = 1000


def is_function(script: Binding) -> bool:
    """Whether a script is a function."""
    return bool(script.get("type", Process.type) == Process.type)


def takes_kwargs(script: Binding) -> bool:
    """Whether a script takes keyword arguments."""
    return "name" in script and script.get("type") not in ("map", "pipeline")


def with_kwargs(script: Binding, kwargs: dict[str, object]) -> Binding:
    """Return the script with additional keyword arguments."""
    return {**script, "kwargs": {**script.get("kwargs", {}), **kwargs}}


def with_item(script: Binding, item: object) -> Binding:
    """Return the script with an item as its first argument."""
    return {**script, "args": [item, *script.get("args", [])]}


class Items:
    """The items of a map, and the script to run for each.

    Parameters
    ----------
    make : callable
        Makes the process of a script.
    binding : dict
        The map.
    source : dict or None
        Its data; see `jobserver.tables.loading`.

    Attributes
    ----------
    items : sequence
        The items.
    """

    def __init__(self, make: MakeProcess, binding: Binding, source: Source | None) -> None:
        self._source = source
        self._make = make
        self._script = target(binding)
        self._kind = over_kind(binding["over"])
        self._loaded: object = _UNREAD
        self.items = expand(binding["over"], self._load)

    @property
    def is_grid(self) -> bool:
        """Whether the items are keyword arguments."""
        return self._kind == "grid"

    def run(self, number: int) -> object:
        """Run the script for an item and return its result."""
        item = self.items[number]
        if self.is_grid:
            process = self._make(with_kwargs(self._script, item))
            return process.run(self._shared(process))
        if self._kind in ("list", "range") and is_function(self._script):
            return self._make(with_item(self._script, item)).run(None)
        return self._make(self._script).run({"value": item})

    def _load(self, datatype: str) -> object:
        return load({**(self._source or {}), "datatype": datatype}, as_path=False)

    def _shared(self, process: AnyProcess) -> Source | None:
        """Return the data for an item of a grid: read once, and copied for each item."""
        if self._source is None:
            return None
        wants_file = not isinstance(process, Process) or process.script.wants_path()
        if "path" in self._source and wants_file:
            return self._source
        if self._loaded is _UNREAD:
            self._loaded = load(self._source, as_path=False)
        return {"value": _copy(self._loaded)}


def _copy(value: object) -> object:
    """Copy mutable data, so that no item sees the changes of another."""
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
    context : RunContext
        The run's context.
    first : int
        Number of the first item among all that the run has seeds for.
    collect : bool
        Whether errors are collected as results.
    """

    def __init__(self, items: Items, context: RunContext, first: int, *, collect: bool) -> None:
        self.count = len(items.items)
        self.collect = collect
        self._items = items
        self._context = context
        self._first = first
        self._encoder = Encoder(around=_AROUND, text=context.text)
        self._pid = os.getpid()

    def after_fork(self) -> None:
        """Continue in a forked process."""
        self._pid = os.getpid()

    def record(self, number: int) -> Record:
        """Run an item and return its ``result``, or ``error`` and ``message``."""
        context = self._context
        depth = len(context.steps)
        with context.item(self._first + number) as seed, current_job.within(0.0, 0.0, seed):
            try:
                record = {"result": self._encoder.encode(self._items.run(number))}
            except BaseException as error:  # a script may raise anything
                record = self._failure(number, error, depth)
        if os.getpid() != self._pid:  # the script forked, and this is the copy
            os._exit(0)
        self._log_warnings(number)
        return record

    def encoded(self, number: int) -> bytes:
        """Run an item and return its record as BSON."""
        record = self.record(number)
        try:
            return bson.encode(record)
        except (MemoryError, OverflowError, BSONError) as error:
            return bson.encode(self._failure(number, error, len(self._context.steps)))

    def _failure(self, number: int, error: BaseException, depth: int) -> Record:
        self._log_warnings(number)
        self._encoder = Encoder(around=_AROUND, text=self._context.text)
        failure = self._context.describe(error, not self.collect)
        text = (self._context.prefix(depth) + failure.message)[:_LONGEST_MESSAGE]
        text = text.encode(errors="replace").decode()
        if self.collect:
            self._context.log(f"item {number + 1}: {text}")
        return {"error": failure.error, "message": text}

    def _log_warnings(self, number: int) -> None:
        while self._encoder.warnings:
            self._context.log(f"item {number + 1}: {self._encoder.warnings.pop()}")
