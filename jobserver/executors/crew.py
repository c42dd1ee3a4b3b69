"""The slots that carry out the items of one map, and what each of them is at.

The slot that claimed the map's job leads. A slot that finds no job waiting joins the crew of a map
that has items left, works off some of them at a time, and leaves it as soon as a job waits. Only
the leading slot holds a claim.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from jobserver.database import Document
from jobserver.protocol import Message

log = logging.getLogger(__name__)

Range = tuple[int, int]
LEAVE_SECONDS = 5.0


@dataclass(frozen=True)
class Order:
    """A map whose items are to be run.

    Attributes
    ----------
    spec : dict
        The run of its job; see `jobserver.attempt.Attempt`.
    folder : Path
        Where its plan and its results are.
    items : int
        How many there are.
    collect : bool
        Whether errors are kept as results.
    where : str
        Where in the script it is, as the beginning of a message.
    output : callable
        Takes what its items print.
    """

    spec: Document
    folder: Path
    items: int
    collect: bool
    where: str
    output: Callable[[bytes], None]


class Crew:
    """Gives out the items of a map, and knows who has which.

    Parameters
    ----------
    order : Order
        The map.
    slots : int
        How many may take part.
    wake : callable
        Called when something changed that the leader waits for.

    Attributes
    ----------
    failed : dict or None
        The ``item`` that failed, with ``error`` and ``message``; it ends the map.
    lost : deque of dict
        The same of items whose child died, where errors are collected.
    """

    def __init__(self, order: Order, slots: int, wake: Callable[[], None]) -> None:
        self.order = order
        self.failed: Message | None = None
        self.failed_at = 0.0
        self.lost: deque[Message] = deque()
        self._slots = slots
        self._wake = wake
        self._free: deque[Range] = deque([(0, order.items)] if order.items else [])
        self._busy: dict[int, Range] = {}
        self._members: dict[int, Callable[[], None]] = {}
        self._leaving: set[int] = set()
        self._numbers = count()
        self._closed = self._alone = False
        self._changed = threading.Condition()

    def number(self) -> int:
        """A number for a child that takes part."""
        with self._changed:
            return next(self._numbers)

    def join(self, number: int, stop: Callable[[], None]) -> bool:
        """Take part with another slot; False if there is nothing to do.

        Parameters
        ----------
        stop : callable
            Ends what that slot does for the map; returns at once.
        """
        with self._changed:
            if not self.wants_help:
                return False
            self._members[number] = stop
            return True

    def leave(self, number: int) -> None:
        """Take part no longer; what was not done is left to others."""
        with self._changed:
            if begun := self._busy.pop(number, None):
                self._free.appendleft(begun)
            self._members.pop(number, None)
            self._changed.notify_all()
        self._wake()

    def report(self, number: int, done: Any, failed: Any) -> None:
        """Take what a child says it did of its items; it is not trusted."""
        with self._changed:
            if (begun := self._busy.pop(number, None)) is None:
                return
            begin, end = begun
            done = min(max(done, begin), end) if isinstance(done, int) else begin
            if done < end:
                self._free.appendleft((done, end))
            if isinstance(failed, Mapping):
                words = {name: str(failed.get(name))[:1000] for name in ("error", "message")}
                self._fail({**words, "item": min(done, end - 1)})
        self._wake()

    def lose(self, number: int, error: str, message: str) -> bool:
        """A child died at an item; False if it was at none."""
        with self._changed:
            if (begun := self._busy.pop(number, None)) is None:
                return False
            begin, end = begun
            item = self._marked(number)
            item = item if begin <= item < end else begin
            lost = {"item": item, "error": error, "message": message[:1000]}
            if item + 1 < end:
                self._free.appendleft((item + 1, end))
            if self.order.collect:
                self.lost.append(lost)
            else:
                self._fail(lost)
        self._wake()
        return True

    def share(self, number: int) -> Range | None:
        """The next items for a child: fewer, the fewer are left."""
        with self._changed:
            if not self._free or self._closed or self.failed:
                return None
            begin, end = self._free.popleft()
            left = sum(last - first for first, last in self._free) + end - begin
            size = min(math.ceil(left / (2 * self._slots)), end - begin)
            if begin + size < end:
                self._free.appendleft((begin + size, end))
            self._busy[number] = (begin, begin + size)
            return self._busy[number]

    def dismiss(self, number: int) -> None:
        """A child is told to leave: it needs no other end."""
        with self._changed:
            self._leaving.add(number)

    def refuse_help(self) -> None:
        """Take no more slots in: the children of others cannot run these items."""
        self._alone = True

    @property
    def wants_help(self) -> bool:
        """Whether there are items that nobody is at."""
        return bool(self._free) and not (self._closed or self._alone or self.failed)

    @property
    def size(self) -> int:
        """How many slots help."""
        return len(self._members)

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.failed is not None or not (self._free or self._busy)

    @property
    def done(self) -> int:
        """How many items are done."""
        with self._changed:
            return self.order.items - sum(
                last - first for first, last in [*self._free, *self._busy.values()]
            )

    def close(self) -> None:
        """Give out no more items, and end at once what others are at."""
        with self._changed:
            self._closed = True
            stops = [stop for number, stop in self._members.items() if number not in self._leaving]
        for stop in stops:
            stop()

    def dissolve(self) -> None:
        """Close, and wait until all have left: the files of the map go now."""
        self.close()
        with self._changed:
            if not self._changed.wait_for(lambda: not self._members, LEAVE_SECONDS):
                log.warning("a slot still works for a map that is over: %s", self._members.keys())

    def _fail(self, failure: Message) -> None:
        if self.failed is None:
            self.failed, self.failed_at = failure, time.monotonic()

    def _marked(self, number: int) -> int:
        """The item that a child wrote it is at."""
        try:
            content = (self.order.folder / f"at-{number}").read_bytes()
        except OSError:  # the script removed it
            return -1
        return int.from_bytes(content[:8], "little", signed=True)
