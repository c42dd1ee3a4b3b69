"""One attempt of a job inside the child: its surroundings, its limits, what it leaves behind."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import resource
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from jobserver.context import current_job
from jobserver.execution import execute
from jobserver.guard import end_descendants

if TYPE_CHECKING:
    from jobserver.protocol import Message
    from jobserver.scripts.registry import Registry


class Attempt:
    """Runs one job's script and tells how it ended; nothing that the script raises gets out.

    Parameters
    ----------
    registry : Registry
        The script table.
    home : str
        Folder of the server: it is cut off from file names that users see.
    spec : dict
        ``id``, ``attempt``, ``script``, ``data``, ``folder`` (an empty one to work in),
        ``memory`` (bytes, 0 for no limit), ``files`` (open files), ``file_size`` (bytes).
    output : int
        Descriptor of the pipe that takes what the script prints.
    report : callable
        Passes progress on.
    """

    def __init__(
        self,
        registry: Registry,
        home: str,
        spec: Message,
        output: int,
        report: Callable[[float, str | None], None],
    ) -> None:
        self.registry = registry
        self.home = home
        self.spec = spec
        self.output = output
        self.report = report

    def carry_out(self) -> Message:
        """Run, clean up, and give the message that ends the attempt."""
        spec = self.spec
        before = set(threading.enumerate())
        with (
            current_job.entered(spec["id"], spec["attempt"], self.report),
            _standard_streams(self.output),
            _environment(spec["folder"]),
            _limits(spec),
        ):
            message = execute(self.registry, spec, self.home)
        killed = end_descendants()
        strays = [thread for thread in threading.enumerate() if thread not in before]
        return {**message, "op": "done", "tainted": bool(strays or killed)}


@contextmanager
def _standard_streams(output: int) -> Iterator[None]:
    """Fresh standard streams and logging; everything written is out at the end."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    streams = [_line_buffered(fd) for fd in (1, 2)]
    sys.stdout, sys.stderr = streams
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form, force=True)
    try:
        yield
    finally:
        for stream in streams:
            if not stream.closed:
                stream.flush()
        sys.stdout, sys.stderr = streams
        ctypes.CDLL(None).fflush(None)


def _line_buffered(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """Work in a folder of its own, and take back what the script did to its environment."""
    variables, paths = dict(os.environ), list(sys.path)
    os.environ.update(TMPDIR=folder, PWD=folder)
    os.chdir(folder)
    tempfile.tempdir = None
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.chdir("/")
        sys.path[:] = paths
        os.environ.clear()
        os.environ.update(variables)


@contextmanager
def _limits(spec: Message) -> Iterator[None]:
    """Soft limits on memory, open files and file size, lifted again afterwards."""
    wanted = {resource.RLIMIT_NOFILE: spec["files"], resource.RLIMIT_FSIZE: spec["file_size"]}
    if spec["memory"]:
        wanted[resource.RLIMIT_AS] = _address_space() + spec["memory"]
    before = {kind: resource.getrlimit(kind) for kind in wanted}
    try:
        for kind, value in wanted.items():
            hard = before[kind][1]
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, hard))
        yield
    finally:
        for kind, values in before.items():
            resource.setrlimit(kind, values)


def _address_space() -> int:
    """Bytes of address space that this process has now: the limit is relative to it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    found = re.search(r"VmSize:\s+(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else 0
