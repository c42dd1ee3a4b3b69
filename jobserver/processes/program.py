"""Running a program: without a shell, its output streamed to the log and kept for the result."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from pathlib import Path
from typing import IO, Any, NoReturn

from jobserver.encoding import is_deeper
from jobserver.errors import ProgramFailed
from jobserver.system.process_tree import signal_name

_PIECE = 64 * 1024
_LOOK_SECONDS = 0.1
#: Characters at the end of stderr that the message of a failure has.
_TOLD = 2000
#: Levels of JSON that a result takes beside those around it.
_DEEPEST = 64


def run_program(path: Path, arguments: list[str], limit: int) -> dict[str, Any]:
    """Run a program to its end.

    Parameters
    ----------
    path : Path
        The executable file.
    arguments : list of str
        What comes after its name.
    limit : int
        Bytes that are kept of each of its streams.

    Returns
    -------
    dict
        ``stdout``, ``stderr``, ``returncode``, and ``left_out`` with the number of bytes that were
        not kept of a stream, if there are any.

    Raises
    ------
    ProgramFailed
        If it cannot be started, or ends with another exit code than 0.
    """
    out, err = Stream(1, limit), Stream(2, limit)
    with _started(path, arguments) as process:
        _follow(process, {process.stdout: out, process.stderr: err})
    if process.returncode:
        raise ProgramFailed(_failure(process.returncode, err, path.parent))
    left_out = {name: s.left_out for name, s in (("stdout", out), ("stderr", err)) if s.left_out}
    result = {"stdout": out.value(), "stderr": err.text(), "returncode": 0}
    return {**result, "left_out": left_out} if left_out else result


class Stream:
    """One of a program's streams: written on as it comes, and its start and end kept.

    Parameters
    ----------
    fd : int
        Descriptor that it is written on to.
    limit : int
        Bytes that are kept.

    Attributes
    ----------
    left_out : int
        Bytes that were not kept.
    end : bytes
        The last of it, kept or not.
    """

    def __init__(self, fd: int, limit: int) -> None:
        self._fd = fd
        self._room = limit
        self._kept = bytearray()
        self.left_out = 0
        self.end = b""

    def take(self, piece: bytes) -> None:
        """Pass a piece on, and keep what there is room for."""
        view = memoryview(piece)
        while view:
            view = view[os.write(self._fd, view) :]
        kept = piece[: self._room - len(self._kept)]
        self._kept += kept
        self.left_out += len(piece) - len(kept)
        self.end = (self.end + piece)[-4 * _TOLD :]

    def text(self) -> str:
        """What was kept as text; a character that the limit cut is left out."""
        text = self._kept.decode("utf-8", "replace")
        return text.rstrip("\ufffd") if self.left_out else text

    def value(self) -> Any:
        """What was kept: as JSON where all of it is, else as text."""
        if self.left_out or is_deeper(self._kept, _DEEPEST):
            return self.text()
        try:
            return json.loads(self._kept, parse_constant=_refuse)
        except ValueError:
            return self.text()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _started(path: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise ProgramFailed(
            f"{path.name} could not be started: {error.strerror}. A text file has to name its "
            "interpreter in its first line, such as #!/bin/sh."
        ) from error


def _follow(process: subprocess.Popen[bytes], streams: dict[IO[bytes] | None, Stream]) -> None:
    """Read what a program writes until it ended; what it left running holds nothing up."""
    with selectors.DefaultSelector() as selector:
        for end in filter(None, streams):
            os.set_blocking(end.fileno(), False)
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            ended = process.poll() is not None
            ready = selector.select(0 if ended else _LOOK_SECONDS)
            for key, _ in ready:
                pipe: Any = key.fileobj
                if piece := os.read(key.fd, _PIECE):
                    streams[pipe].take(piece)
                else:
                    selector.unregister(pipe)
            if ended and not ready:
                return
    process.wait()


def _failure(code: int, err: Stream, folder: Path) -> str:
    """What ended a program, and the end of what it complained."""
    what = f"killed by {signal_name(-code)}" if code < 0 else f"exit code {code}"
    end = err.end.decode("utf-8", "replace").replace(f"{folder}/", "").strip()[-_TOLD:].lstrip()
    return f"{what}: {end}" if end else what
