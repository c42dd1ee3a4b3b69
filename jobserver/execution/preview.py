"""Show a data file as a script gets it, or a result as a binary file: in a process of its own.

Reading needs pandas and Parquet needs pyarrow, and both may take much memory and time, none of
which the web process should spend.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple, cast

from jobserver.encoding import File, check_format
from jobserver.errors import Unavailable, UnsupportedType
from jobserver.execution.supervision.child_process import clean_environment
from jobserver.system.disk import check_room
from jobserver.system.process_tree import NOT_SHOWN, OUT_OF_MEMORY
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
#: Bytes of a reason that are read.
_LONGEST_REASON = 64 * 1024
#: Extensions of files that are no text.
_BINARY = (
    *(".npy", ".npz", ".xls", ".xlsx", ".parquet", ".feather", ".nc", ".nc4", ".h5", ".hdf5"),
    *(".gz", ".bz2", ".xz", ".zip"),
)
#: Seconds that a request waits for its turn, and between two looks at its process.
_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.1
#: How the process ends at a limit: without memory, or ended by the system.
_LIMITS = (OUT_OF_MEMORY, -signal.SIGKILL, -signal.SIGXCPU)
#: Processes at once, and requests that may wait for them: each holds a thread of the server.
_turns = threading.BoundedSemaphore(2)
_waiting = threading.BoundedSemaphore(6)

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
    """What a process is to do: its arguments and limits, and the words of its refusal."""

    arguments: list[str]
    seconds: float
    failure: str
    advice: str
    is_gone: IsGone

    def refused(self, reason: str) -> UnsupportedType:
        """Return the error for a reason, which ends with a stop."""
        return UnsupportedType(" ".join(filter(None, (reason, self.advice))))


def is_as_it_is(name: str, output_format: str, options: Mapping[str, Any]) -> bool:
    """Whether a file is in a format already: csv and text, unless options say how to read it."""
    is_csv = output_format == "csv" and PurePath(name).suffix.lower() == ".csv" and not options
    return output_format == "txt" or is_csv


def show(
    path: Path,
    output_format: str,
    options: Mapping[str, Any],
    memory: int,
    is_gone: IsGone = bool,
) -> Shown:
    """Return a data file in a format.

    Parameters
    ----------
    path : Path
        The file.
    output_format : str
        ``csv``, ``json`` or ``html``. As ``json`` a table is a list of objects, one for each row.
    options : mapping
        How to read it; see `jobserver.tables.options`.
    memory : int
        Bytes that reading may take; 0 for no limit.
    is_gone : callable
        Returns whether to stop, as nobody waits any more.

    Raises
    ------
    UnsupportedType
        If it cannot be read, or not be shown in this format.
    Unavailable
        If too many files are being read, or nobody waits any more.
    """
    if not can_read(path):
        raise UnsupportedType(
            f"A {path.suffix.lower()[1:]} file cannot be shown as {output_format}, only as txt."
        )
    advice = "Ask for txt to see the file as it is."
    if path.suffix.lower() in _BINARY:
        advice = f"GET /datafile/{path.name}/content returns the file as it is."
    arguments = ["file", output_format, str(memory), str(path)]
    work = _Work(arguments, SECONDS, "The file cannot be read", advice, is_gone)
    with _source() as source:
        source.write(json.dumps(dict(options)).encode())
        return _run(work, source)


def write_result(
    result: object, output_format: str, memory: int, is_gone: IsGone = bool
) -> BinaryIO:
    """Return a result that is a table as a temporary file in a binary format.

    Parameters
    ----------
    result : Any
        The stored value of a small result, or the `File` of a large one.
    output_format : str
        ``xlsx`` or ``parquet``.
    memory : int
        Bytes that writing may take; 0 for no limit.
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
    arguments = ["result", output_format, str(memory), stored.kind, stored.file_format]
    failure = f"The result cannot be written as {output_format}"
    work = _Work(arguments, RESULT_SECONDS, failure, "Ask for csv.", is_gone)
    check_room(Path(tempfile.gettempdir()), stored.size)
    with _source() as source:
        source.writelines(stored.pieces())
        return _run(work, source).content


def _source() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile())


def _run(work: _Work, source: BinaryIO) -> Shown:
    """Run a process that reads a source, and return what it wrote."""
    if not _take_turn():
        raise Unavailable("Too many files are being read at the moment. Try again soon.")
    output = _source()
    try:
        source.seek(0)
        _write(work, source, output)
        output.seek(0)
        return Shown(output, json.loads(output.readline()))
    except BaseException:
        output.close()
        raise
    finally:
        _turns.release()


def _take_turn() -> bool:
    """Wait for a turn; return False if it takes too long, or too many wait already."""
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _turns.acquire(timeout=_WAIT_SECONDS)
    finally:
        _waiting.release()


def _write(work: _Work, source: BinaryIO, output: BinaryIO) -> None:
    command = [sys.executable, "-m", "jobserver.child.show", str(work.seconds), *work.arguments]
    with _source() as errors:
        with subprocess.Popen(
            command, stdin=source, stdout=output, stderr=errors, env=clean_environment()
        ) as process:
            try:
                _wait(process, work)
            finally:
                process.kill()
        errors.seek(0)
        reason = errors.read(_LONGEST_REASON).decode(errors="replace").strip()
    if process.returncode == NOT_SHOWN:
        raise work.refused(reason)
    if process.returncode:
        log.warning("%s: %s", work.failure, reason)
        if process.returncode in _LIMITS:
            raise work.refused(f"{work.failure}: it takes too much memory or time.")
        raise UnsupportedType(f"{work.failure}; the log of the server says why.")


def _wait(process: subprocess.Popen[bytes], work: _Work) -> None:
    """Wait for the end of a process, but not longer than its client does."""
    due = time.monotonic() + work.seconds
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
            return
        if work.is_gone():
            raise Unavailable(f"{work.failure}: the client closed the connection.")
        if time.monotonic() > due:
            raise work.refused(f"{work.failure} within {work.seconds:g} seconds.")
