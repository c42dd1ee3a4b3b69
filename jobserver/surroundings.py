"""The streams of this process, and the folder that it works in."""

from __future__ import annotations

import ctypes
import gc
import io
import os
import sys
import tempfile
from contextlib import suppress
from typing import Any

_WRITTEN = (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
#: Files that were open when this process was warm.
_opened: list[Any] = []


def note_open_files() -> None:
    """Remember the files that are open now, for `flush_files`."""
    _opened[:] = _files()


def flush() -> None:
    """Write out what is buffered in the standard streams: a copy would write it once more."""
    _flush(sys.stdout, sys.stderr)
    ctypes.CDLL(None).fflush(None)


def flush_files() -> None:
    """Write out what is buffered in any file: the process ends without its usual goodbyes."""
    _flush(*_opened, *_files())


def _files() -> list[Any]:
    """The files that were opened since `gc.freeze`."""
    return [each for each in gc.get_objects() if isinstance(each, _WRITTEN)]


def _flush(*streams: Any) -> None:
    for stream in streams:
        with suppress(Exception):  # a script closed or replaced it
            stream.flush()


def work_in(folder: str) -> None:
    """Work in a folder, and have temporary files there."""
    os.environ.update(TMPDIR=folder, PWD=folder)
    os.chdir(folder)
    tempfile.tempdir = None
