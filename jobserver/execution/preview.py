"""Show a data file as a script gets it: read and written by a process of its own.

Reading needs pandas and may take much memory, neither of which the web process should have.
"""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from jobserver.errors import Unavailable, UnsupportedType
from jobserver.execution.supervision.child_process import clean_environment
from jobserver.system.process_tree import NOT_SHOWN, OUT_OF_MEMORY
from jobserver.tables.loading import can_read

log = logging.getLogger(__name__)

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
#: Seconds that reading a file may take, and that a request waits for its turn.
_SECONDS = 30.0
_WAIT_SECONDS = 5.0
#: How the process ends at a limit: without memory, or ended by the system.
_LIMITS = (OUT_OF_MEMORY, -signal.SIGKILL, -signal.SIGXCPU)
#: Processes at once, and requests that may wait for them: each holds a thread of the server.
_turns = threading.BoundedSemaphore(2)
_waiting = threading.BoundedSemaphore(6)


def is_as_it_is(name: str, output_format: str, options: Mapping[str, Any]) -> bool:
    """Whether a file is in a format already: csv and text, unless options say how to read it."""
    is_csv = output_format == "csv" and PurePath(name).suffix.lower() == ".csv" and not options
    return output_format == "txt" or is_csv


def show(path: Path, output_format: str, options: Mapping[str, Any], memory: int) -> BinaryIO:
    """Return a data file in a format, as a temporary file.

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

    Raises
    ------
    UnsupportedType
        If it cannot be read, or not be shown in this format.
    Unavailable
        If too many files are being read.
    """
    if not can_read(path):
        raise UnsupportedType(
            f"A {path.suffix.lower()[1:]} file cannot be shown as {output_format}, only as txt."
        )
    if not _take_turn():
        raise Unavailable("Too many files are being read at the moment. Try again soon.")
    output = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        _run(path, output_format, options, memory, output)
    except BaseException:
        output.close()
        raise
    finally:
        _turns.release()
    output.seek(0)
    return output


def _take_turn() -> bool:
    """Wait for a turn; return False if it takes too long, or too many wait already."""
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _turns.acquire(timeout=_WAIT_SECONDS)
    finally:
        _waiting.release()


def _run(
    path: Path, output_format: str, options: Mapping[str, Any], memory: int, output: BinaryIO
) -> None:
    arguments = [str(path), output_format, str(memory)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "jobserver.child.show", *arguments],
            input=json.dumps(dict(options)).encode(),
            stdout=output,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnsupportedType(
            f"The file cannot be read within {_SECONDS:g} seconds. Ask for txt."
        ) from error
    if done.returncode == NOT_SHOWN:
        raise UnsupportedType(f"{done.stderr.decode(errors='replace').strip()}. Ask for txt.")
    if done.returncode:
        log.warning("Reading a data file failed: %s", done.stderr.decode(errors="replace"))
        if done.returncode in _LIMITS:
            raise UnsupportedType("Reading the file takes too much memory or time. Ask for txt.")
        raise UnsupportedType("The file cannot be read; the log of the server says why.")
