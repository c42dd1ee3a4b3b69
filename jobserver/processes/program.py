"""Run a program without a shell, streaming its output to the log and keeping it for the result."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from pathlib import Path
from typing import IO, NoReturn

from jobserver.encoding import is_deeper
from jobserver.errors import ProgramFailed
from jobserver.system.process_tree import signal_name

_PIECE = 64 * 1024
_LOOK_SECONDS = 0.1
#: Characters from the end of stderr in the message of a failure.
_STDERR_SHOWN = 2000
#: Levels of JSON parsed into the result.
_MAX_DEPTH = 64


def run_program(path: Path, arguments: list[str], limit: int) -> dict[str, object]:
    """Run a program and wait for its end.

    Parameters
    ----------
    path : Path
        The executable file.
    arguments : list of str
        Its arguments.
    limit : int
        Bytes of each stream that the result keeps.

    Returns
    -------
    dict
        ``stdout``, ``stderr``, ``returncode``, and ``left_out`` with the number of bytes dropped
        from each stream, if any.

    Raises
    ------
    ProgramFailed
        If it cannot be started or its exit code is not 0.
    """
    out, err = Stream(1, limit), Stream(2, limit)
    with _start(path, arguments) as process:
        _follow(process, {process.stdout: out, process.stderr: err})
    if process.returncode:
        raise ProgramFailed(_failure(process.returncode, err, path.parent))
    left_out = {name: s.left_out for name, s in (("stdout", out), ("stderr", err)) if s.left_out}
    result = {"stdout": out.value(), "stderr": err.text(), "returncode": 0}
    return {**result, "left_out": left_out} if left_out else result


class Stream:
    """One of a program's streams: passes output on, and keeps its start and end.

    Parameters
    ----------
    fd : int
        Descriptor to pass the output on to.
    limit : int
        Bytes to keep.

    Attributes
    ----------
    left_out : int
        Bytes that were dropped.
    end : bytes
        The last bytes, kept or dropped.
    """

    def __init__(self, fd: int, limit: int) -> None:
        self._fd = fd
        self._limit = limit
        self._kept = bytearray()
        self.left_out = 0
        self.end = b""

    def take(self, piece: bytes) -> None:
        """Pass a piece on and keep what fits."""
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]
        kept = piece[: self._limit - len(self._kept)]
        self._kept += kept
        self.left_out += len(piece) - len(kept)
        self.end = (self.end + piece)[-4 * _STDERR_SHOWN :]

    def text(self) -> str:
        """Return what was kept as text, without a character that the limit split."""
        text = self._kept.decode("utf-8", "replace")
        return text.rstrip("\ufffd") if self.left_out else text

    def value(self) -> object:
        """Return what was kept, parsed if it is JSON, else as text."""
        if self.left_out or is_deeper(self._kept, _MAX_DEPTH):
            return self.text()
        try:
            return json.loads(self._kept, parse_constant=_refuse)
        except ValueError:
            return self.text()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _start(path: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise ProgramFailed(
            f"{path.name} could not be started: {error.strerror}. A text file must name its "
            "interpreter in the first line, such as #!/bin/sh."
        ) from error


def _follow(process: subprocess.Popen[bytes], streams: dict[IO[bytes] | None, Stream]) -> None:
    """Read what a program writes until it ends, without waiting for processes it left behind."""
    with selectors.DefaultSelector() as selector:
        for end in filter(None, streams):
            os.set_blocking(end.fileno(), False)
            selector.register(end, selectors.EVENT_READ, streams[end])
        while selector.get_map():
            ended = process.poll() is not None
            ready = selector.select(0 if ended else _LOOK_SECONDS)
            for key, _ in ready:
                if piece := os.read(key.fd, _PIECE):
                    key.data.take(piece)
                else:
                    selector.unregister(key.fileobj)
            if ended and not ready:
                return
    process.wait()


def _failure(code: int, err: Stream, folder: Path) -> str:
    """Return why a program failed, with the end of its stderr."""
    reason = f"killed by {signal_name(-code)}" if code < 0 else f"exit code {code}"
    text = err.end.decode("utf-8", "replace").replace(f"{folder}/", "").strip()
    end = text[-_STDERR_SHOWN:].lstrip()
    return f"{reason}: {end}" if end else reason
