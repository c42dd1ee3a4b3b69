"""Show a data file as a script gets it, or a result as a binary file: in a process of its own.

Reading needs pandas and Parquet needs pyarrow, and both may take much memory and time, none of
which the web process should spend. The process is forked like those of runs.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

from jobserver.encoding import File, check_format
from jobserver.errors import Advised, Unavailable, UnsupportedType
from jobserver.execution.supervision.child_messages import CAN_FORK
from jobserver.execution.supervision.child_process import ChildEnded, ChildProcess
from jobserver.execution.supervision.guards import FreshGuard, Preloader
from jobserver.home.settings import Settings
from jobserver.system.disk import check_room, temporary_folder
from jobserver.system.protocol import ChannelClosed, Message
from jobserver.tables.loading import can_read

log = logging.getLogger(__name__)

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
#: Seconds that reading a file, and writing a result, may take.
SECONDS, RESULT_SECONDS = 30.0, 120.0
#: Extensions of files that are no text.
_BINARY = (
    *(".npy", ".npz", ".xls", ".xlsx", ".parquet", ".feather", ".nc", ".nc4", ".h5", ".hdf5"),
    *(".gz", ".bz2", ".xz", ".zip"),
)
#: Seconds that a request waits for its turn, and between two looks at its client.
_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.1

#: Returns whether the client has gone, so that nobody waits for the answer.
IsGone = Callable[[], bool]


class Shown(NamedTuple):
    """A data file in another format.

    Attributes
    ----------
    content : BinaryIO
        A temporary file, which the caller closes.
    remarks : list of str
        What its reader warned of, as in the log of a run.
    """

    content: BinaryIO
    remarks: list[str]


@dataclass(frozen=True)
class _Work:
    """What a process is to do, as `jobserver.child.show` gets it, and the words of its refusal."""

    order: Message
    seconds: float
    failure: str
    advice: str
    is_gone: IsGone

    def refused(self, reason: str, advice: str = "") -> UnsupportedType:
        """Return the error for a reason, which ends with a stop."""
        return UnsupportedType(Advised(reason, f"{advice} {self.advice}".strip()))


def is_as_it_is(name: str, output_format: str, options: Mapping[str, object]) -> bool:
    """Whether a file is in a format already: csv and text, unless options say how to read it."""
    is_csv = output_format == "csv" and PurePath(name).suffix.lower() == ".csv" and not options
    return output_format == "txt" or is_csv


class Previews:
    """Shows files and results.

    Parameters
    ----------
    settings : Settings
        How much memory it may take.
    preloader : Preloader
        What processes are forked from, unless they run as another user, who cannot read all files.
    """

    def __init__(self, settings: Settings, preloader: Preloader) -> None:
        self._memory = settings.JOB_MEMORY_LIMIT
        forking = Preloader(None) if settings.RUN_AS else preloader
        self._start = forking.fork if CAN_FORK else FreshGuard
        # Processes at once, and requests that may wait for them: each holds a thread of the server.
        self._turns = threading.BoundedSemaphore(2)
        self._waiting = threading.BoundedSemaphore(6)

    def show(
        self,
        path: Path,
        output_format: str,
        options: Mapping[str, object],
        is_gone: IsGone = bool,
    ) -> Shown:
        """Return a data file in a format.

        Parameters
        ----------
        path : Path
            The file.
        output_format : str
            ``csv``, ``json`` or ``html``. As ``json`` a table is a list of objects, one for each
            row.
        options : mapping
            How to read it; see `jobserver.tables.options`.
        is_gone : callable
            Returns whether to stop, as nobody waits any more.

        Raises
        ------
        UnsupportedType
            If it cannot be read, or not be shown in this format.
        Unavailable
            If too many files are being read, or nobody waits any more.
        """
        suffix = path.suffix.lower()
        if not can_read(path):
            raise UnsupportedType(
                f"A {suffix[1:]} file cannot be shown as {output_format}, only as txt."
            )
        advice = "Ask for txt to see the file as it is."
        if suffix in _BINARY:
            advice = f"GET /datafile/{path.name}/content returns the file as it is."
        order = {"format": output_format, "path": str(path), "options": dict(options)}
        return self._run(_Work(order, SECONDS, "The file cannot be read", advice, is_gone))

    def write_result(self, result: object, output_format: str, is_gone: IsGone = bool) -> BinaryIO:
        """Return a result that is a table as a temporary file in a binary format.

        Parameters
        ----------
        result : Any
            The stored value of a small result, or the `File` of a large one.
        output_format : str
            ``xlsx`` or ``parquet``.
        is_gone : callable
            Returns whether to stop, as nobody waits any more.

        Raises
        ------
        UnsupportedType
            If it cannot be written in this format.
        Unavailable
            If too many files are being written, the disk is full, or nobody waits any more.
        """
        check_format(result, output_format)
        stored = result if isinstance(result, File) else File.of_value(result)
        with temporary_folder("result") as folder:
            check_room(Path(folder), stored.size)
            source = Path(folder, "stored")
            with source.open("wb") as file:
                file.writelines(stored.pieces())
            described = {"kind": stored.kind, "file_format": stored.file_format}
            order = {"format": output_format, "path": str(source), **described}
            failure = f"The result cannot be written as {output_format}"
            work = _Work(order, RESULT_SECONDS, failure, "Ask for csv.", is_gone)
            return self._run(work).content

    def _run(self, work: _Work) -> Shown:
        """Have a process do some work, and return what it wrote."""
        if not self._take_turn():
            raise Unavailable("Too many files are being read at the moment. Try again soon.")
        try:
            with temporary_folder("shown") as folder:
                output = Path(folder, "output")
                limits = {"seconds": work.seconds, "memory": self._memory}
                order = {"op": "show", **work.order, **limits, "output": str(output)}
                reply = self._ask(work, order)
                if reply["op"] == "refused":
                    raise work.refused(reply["reason"], reply.get("advice", ""))
                if reply["op"] == "failed":
                    log.warning("%s: %s", work.failure, reply["reason"])
                    raise UnsupportedType(f"{work.failure}; the log of the server says why.")
                return Shown(output.open("rb"), reply["remarks"])
        finally:
            self._turns.release()

    def _take_turn(self) -> bool:
        """Wait for a turn; return False if it takes too long, or too many wait already."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._turns.acquire(timeout=_WAIT_SECONDS)
        finally:
            self._waiting.release()

    def _ask(self, work: _Work, order: Message) -> Message:
        """Start a process, and return its reply to an order."""
        try:
            child = ChildProcess(self._start)
        except ChildEnded as error:
            raise Unavailable(f"{work.failure} at the moment. Try again soon.") from error
        try:
            child.channel.send(order, work.seconds)
            return _reply(child, work)
        except ChannelClosed as error:  # at a limit of the system
            reason = f"{work.failure}: it takes too much memory or time."
            raise work.refused(reason) from error
        finally:
            child.end()


def _reply(child: ChildProcess, work: _Work) -> Message:
    """Wait for the reply of a process, but not longer than its client does."""
    due = time.monotonic() + work.seconds
    readable = select.poll()  # `select` has no place for many descriptors
    readable.register(child.channel, select.POLLIN)
    while True:
        if readable.poll(_LOOK_SECONDS * 1000):
            for reply in child.channel.read():
                return dict(reply)
        if work.is_gone():
            raise Unavailable(f"{work.failure}: the client closed the connection.")
        if time.monotonic() > due:
            raise work.refused(f"{work.failure} within {work.seconds:g} seconds.")
