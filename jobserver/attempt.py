"""One attempt of a job inside the child: its surroundings, its limits, what it leaves behind."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from jobserver.context import current_job
from jobserver.execution import Link, execute
from jobserver.guard import end_descendants
from jobserver.traces import Traces, told

if TYPE_CHECKING:
    from jobserver.protocol import Message
    from jobserver.scripts.registry import Registry

_OWN_SIZE = Path("/proc/self/statm")
_C = ctypes.CDLL(None)


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
        ``plan`` (a file, where another slot's map wants help; see `jobserver.models.items`),
        ``memory`` (bytes, 0 for no limit), ``files`` (open files), ``file_size`` (bytes),
        ``small_result`` and ``largest_result`` (bytes: of one that needs no file, of any).
    output : int
        Descriptor of the pipe that takes what the script prints.
    report : callable
        Passes progress on.
    link : Link
        How to reach the slot.
    """

    def __init__(
        self,
        registry: Registry,
        home: str,
        spec: Message,
        output: int,
        report: Callable[[float, str | None], None],
        link: Link,
    ) -> None:
        self.registry = registry
        self.home = home
        self.spec = spec
        self.output = output
        self.report = report
        self.link = link

    def carry_out(self) -> Message:
        """Run, clean up, and give the message that ends the attempt."""
        spec = self.spec
        before, threads = Traces(), set(threading.enumerate())
        memory, process = _memory()[1], os.getpid()
        with (
            current_job.entered(spec["id"], spec["attempt"], self.report),
            _standard_streams(self.output),
            _environment(spec["folder"]),
            _limits(spec),
        ):
            message = execute(self.registry, spec, self.home, self.link)
        if os.getpid() != process:  # the script forked, and this is the copy
            os._exit(0)
        _end_watchers()
        killed, strays = end_descendants(), set(threading.enumerate()) - threads
        tainted = bool(killed or strays) or Traces().left_by(before)
        return {**message, "op": "done", "tainted": tainted, "grown": _memory()[1] - memory}


def _end_watchers() -> None:
    """End what libraries keep running: it would count as left behind, or end the next run."""
    bars = sys.modules.get("tqdm.std")
    if bars and bars.tqdm.monitor:
        bars.tqdm.monitor.exit()
    if faults := sys.modules.get("faulthandler"):
        faults.cancel_dump_traceback_later()


def _memory() -> tuple[int, int]:
    """Bytes of address space that this process has, 0 if unknown, and of memory that it holds."""
    if pages := told(_OWN_SIZE).split():
        return int(pages[0]) * resource.getpagesize(), int(pages[1]) * resource.getpagesize()
    import psutil

    return 0, int(psutil.Process().memory_info().rss)


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
        _C.fflush(None)


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
        _restore(variables)


def _restore(variables: dict[str, str]) -> None:
    """Give the environment its old variables; setting all of them anew takes ten times longer."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, text in variables.items():
        if os.environ.get(name) != text:
            os.environ[name] = text


@contextmanager
def _limits(spec: Message) -> Iterator[None]:
    """Soft limits on memory, open files and file size, lifted again afterwards."""
    wanted = {resource.RLIMIT_NOFILE: spec["files"], resource.RLIMIT_FSIZE: spec["file_size"]}
    if spec["memory"]:  # relative to what the child has already
        wanted[resource.RLIMIT_AS] = _memory()[0] + spec["memory"]
    before = {kind: resource.getrlimit(kind) for kind in wanted}
    try:
        for kind, value in wanted.items():
            hard = before[kind][1]
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, hard))
        yield
    finally:
        for kind, values in before.items():
            with suppress(ValueError, OSError):  # lowered for good: this child is replaced
                resource.setrlimit(kind, values)
