"""The context of a run: its position in the script, and where it sends reports and log lines."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from jobserver.encoding.text import text_of
from jobserver.processes.seeds import Seeds
from jobserver.sizes import exact_size

Message = dict[str, object]

#: Characters of a job's message; the log has the whole text.
LONGEST_MESSAGE = 4000


@dataclass(frozen=True)
class Failure:
    """The name and message of an exception, as the job shows them."""

    error: str
    message: str


class ItemFailed(Exception):
    """An item of a map failed in a worker, which has logged it already.

    Attributes
    ----------
    failure : Failure
        What the job shows.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def describe_plainly(error: BaseException, _: bool = False) -> Failure:
    """Describe a failure by its exception alone."""
    kind = type(error).__name__
    return Failure(kind, f"{kind}: {error}")


def memory_exceeded(limit: int) -> str:
    """Return the message of a run that used too much memory."""
    return f"memory limit of {exact_size(limit)} exceeded" if limit else "the memory is used up"


def clipped(text: str) -> str:
    """Return a text of limited length, without lone surrogates, for a job's message."""
    if len(text) > LONGEST_MESSAGE:
        text = text[:LONGEST_MESSAGE] + " ..."
    return text.encode(errors="replace").decode()


@dataclass
class RunContext:
    """The context of a run; by default that of a function called outside of a job.

    Attributes
    ----------
    folder : str
        Folder for the run's temporary files.
    report : callable
        Sends a message to the slot.
    log : callable
        Writes a line to the log.
    describe : callable
        Describes an exception; with True it also logs the traceback.
    text : callable
        Returns the text of an object that has no other form in a result.
    file_size : int
        Largest file in bytes.
    collected : int
        Bytes of memory that the items of a generator may take.
    channel : socket or None
        Where the server sends how many slots a map has; None without a server.
    seeds : Seeds
        Seeds of the random numbers.
    steps : list of str
        Position in the script, such as ``step 2 (resample)``. An exception leaves it unchanged, so
        that the message can name the position.
    in_item : bool
        Whether the run is inside an item of a map, whose steps are not those of the job.
    """

    folder: str = field(default_factory=tempfile.gettempdir)
    report: Callable[[Message], object] = lambda _: None
    log: Callable[[str], None] = print
    describe: Callable[[BaseException, bool], Failure] = describe_plainly
    text: Callable[[object], str] = text_of
    file_size: int = 2**62
    collected: int = 2**62
    channel: socket.socket | None = None
    seeds: Seeds = field(default_factory=Seeds)
    steps: list[str] = field(default_factory=list)
    in_item: bool = False

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Enter a step of the script."""
        self.steps.append(name)
        yield
        self.steps.pop()

    def item(self, number: int) -> ItemContext:
        """Enter an item of a map, whose exceptions are caught inside."""
        return ItemContext(self, number)

    def prefix(self, depth: int = 0) -> str:
        """Return the steps below a depth, as a prefix of a message."""
        return "".join(f"{step}: " for step in self.steps[depth:])


class ItemContext:
    """Enters and leaves an item; not a generator, as there may be a million of them.

    Parameters
    ----------
    context : RunContext
        The run's context.
    number : int
        Number of the item among all that have seeds.
    """

    def __init__(self, context: RunContext, number: int) -> None:
        self._context = context
        self._number = number
        self._outside = context.in_item, len(context.steps)

    def __enter__(self) -> int:
        self._context.in_item = True
        seed, self._level = self._context.seeds.enter(self._number)
        return seed

    def __exit__(self, *_: object) -> None:
        self._context.in_item, depth = self._outside
        self._context.seeds.leave(self._level)
        del self._context.steps[depth:]


_current: ContextVar[RunContext | None] = ContextVar("run_context", default=None)


def current_context() -> RunContext:
    """Return this thread's run context, or a default one outside a run."""
    return _current.get() or RunContext()


@contextmanager
def use_context(context: RunContext) -> Iterator[None]:
    """Set the context of a run."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
