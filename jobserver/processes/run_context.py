"""The course of a run: where in its script it is, and whom it tells, wherever it is carried out."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from jobserver.processes.seeds import Seeds

Message = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """What an exception is called, and what it says, as a job tells it."""

    error: str
    message: str


class ItemFailed(Exception):
    """An item of a map failed, in a worker that told the log of it.

    Attributes
    ----------
    failure : Failure
        What the job tells of it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def plainly(error: BaseException, _: bool = False) -> Failure:
    """A failure in the words of its exception."""
    kind = type(error).__name__
    return Failure(kind, f"{kind}: {error}")


def _unheard(_: Message) -> None:
    """Tell nobody."""


@dataclass
class RunContext:
    """Where a run is.

    Attributes
    ----------
    folder : str
        Where the run keeps files for a while.
    tell : callable
        Passes a message to the slot.
    say : callable
        Writes a line to the log.
    describe : callable
        Puts an exception into words; with True its traceback goes to the log.
    file_size : int
        Bytes that a file may have.
    channel : socket or None
        Where the server says how many slots a map has; None where there is no server.
    seeds : Seeds
        What random numbers start from.
    places : list of str
        Where in the script it is, such as ``step 2 (resample)``. An exception leaves them as they
        are, so that it can be told where it came from.
    inside : bool
        Whether it is at an item of a map, which is no step of the job.
    """

    folder: str = field(default_factory=tempfile.gettempdir)
    tell: Callable[[Message], None] = _unheard
    say: Callable[[str], None] = print
    describe: Callable[[BaseException, bool], Failure] = plainly
    file_size: int = 2**62
    channel: socket.socket | None = None
    seeds: Seeds = field(default_factory=Seeds)
    places: list[str] = field(default_factory=list)
    inside: bool = False

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Be at a place of the script for a while."""
        self.places.append(place)
        yield
        self.places.pop()

    def item(self, number: int) -> ItemContext:
        """Be at an item of a map for a while; what fails there is caught."""
        return ItemContext(self, number)

    def where(self, depth: int = 0) -> str:
        """The places below a depth, as they begin a message."""
        return "".join(f"{place}: " for place in self.places[depth:])


class ItemContext:
    """A run while it is at an item: written out, as there may be a million of them.

    Parameters
    ----------
    course : RunContext
        Of the run.
    number : int
        Of the item, among all that have seeds.
    """

    def __init__(self, course: RunContext, number: int) -> None:
        self._course = course
        self._number = number
        self._former = course.inside, len(course.places)

    def __enter__(self) -> int:
        self._course.inside = True
        seed, self._level = self._course.seeds.enter(self._number)
        return seed

    def __exit__(self, *_: object) -> None:
        course, depth = self._course, self._former[1]
        course.inside = self._former[0]
        course.seeds.leave(self._level)
        del course.places[depth:]


_present: ContextVar[RunContext | None] = ContextVar("course", default=None)


def current_context() -> RunContext:
    """The course of the run that this thread carries out; one that nobody hears where none is."""
    return _present.get() or RunContext()


@contextmanager
def use_context(course: RunContext) -> Iterator[None]:
    """Take a course for a while."""
    token = _present.set(course)
    try:
        yield
    finally:
        _present.reset(token)
