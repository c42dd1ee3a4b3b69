"""Processes below this one: none is left behind, and forks share as little as possible."""

from __future__ import annotations

import ctypes
import gc
import io
import os
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

from jobserver.sizes import KIB

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.005
#: Exit code of a child whose channel to the server broke.
CUT_OFF = 113
#: Exit code of a child in which a module keeps forks from working.
NO_FORK = 114
_THREADS, _MAPPINGS = Path("/proc/self/task"), Path("/proc/self/maps")
FILES = Path("/proc/self/fd")
_WRITTEN = (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
#: Files that were open when this process was warm.
_opened: list[io.IOBase] = []
_M_MMAP_THRESHOLD = -3


def adopt_orphans() -> None:
    """Become the parent of every process that a descendant orphans."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def shield_memory() -> None:
    """Keep other processes of this user from reading our memory and environment, on Linux.

    They may not debug this process either; processes that it starts are not affected.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def end_with(parent: int) -> None:
    """Have this process end when its parent does; call this right after the fork.

    Parameters
    ----------
    parent : int
        Id of the process that forked, which may be gone already.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def end_descendants(spared: Collection[int] = (), grace: float = 0.0) -> None:
    """End every process below this one.

    Parameters
    ----------
    spared : collection of int
        Children to keep, with all that is below them.
    grace : float
        Seconds to end by themselves after SIGTERM, as a tracker of shared memory does that cleans
        up. Then they are stopped, so that none can escape by forking, and killed.
    """
    due = time.monotonic() + grace
    if grace:
        for pid in _below(spared):
            kill(pid, signal.SIGTERM)
    while (found := _below(spared)) and time.monotonic() < due:
        for pid in found:
            _reap(pid, os.WNOHANG)
        time.sleep(_LOOK_SECONDS)
    while found := _below(spared):
        for order in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                kill(pid, order)
        for pid in found:
            _reap(pid)


def children() -> list[int]:
    """Return the ids of the children of this process."""
    if sys.platform != "linux":
        import psutil

        return [process.pid for process in psutil.Process().children()]
    return _children(os.getpid())


def _below(spared: Collection[int]) -> list[int]:
    """Return every process below this one, except some children and those below them."""
    found: list[int] = []
    for pid in children():
        if pid not in spared:
            found += [pid, *_descendants(pid)]
    return found


def _descendants(root: int) -> list[int]:
    if sys.platform != "linux":
        import psutil

        return [process.pid for process in psutil.Process(root).children(recursive=True)]
    found: list[int] = []
    for pid in _children(root):
        found += [pid, *_descendants(pid)]
    return found


def _children(pid: int) -> list[int]:
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            lists = [Path(thread.path, "children").read_text() for thread in threads]
    except (FileNotFoundError, PermissionError, ProcessLookupError):  # gone, or another user's now
        return []
    return [int(child) for line in lists for child in line.split()]


def _reap(pid: int, options: int = 0) -> None:
    """Collect the status of a child that ended, or wait for it."""
    try:
        os.waitpid(pid, options)
    except ChildProcessError:
        return


def kill(pid: int, order: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, order)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    """Whether a process exists, even if ``/proc`` hides it (``hidepid``, ``ProtectProc``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        return
    if _c_library().prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def describe_end(status: int) -> str:
    """Return what ended the process of a script.

    Parameters
    ----------
    status : int
        Its exit code, or the negative number of a signal.
    """
    if status < 0:
        return f"killed by {signal_name(-status)}"
    if status == CUT_OFF:
        return "the script closed the pipes of its process"
    if status == NO_FORK:
        return "it keeps the processes of runs from starting"
    return f"the script ended its process with exit code {status}"


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number if it has none."""
    names = {known.value: known.name for known in signal.Signals}
    return names.get(number, f"signal {number}")


def threads() -> int:
    """Return the number of threads of this process, including those of C libraries on Linux."""
    if sys.platform != "linux":
        return threading.active_count()
    return len(os.listdir(_THREADS))  # noqa: PTH208 - only the number is needed


def end_idle_threads() -> None:
    """Have libraries such as OpenBLAS end their idle threads, as they do before every fork."""
    if sys.platform == "linux" and threads() > 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)


def open_files() -> Iterator[tuple[int, int]]:
    """Yield the descriptors of this process and the modes of their files, on Linux."""
    for fd in map(int, os.listdir(FILES)):  # noqa: PTH208 - numbers, not paths
        with suppress(OSError):  # the descriptor of the listing itself
            yield fd, os.fstat(fd).st_mode


def shared_with_forks() -> int:
    """Return how many pipes, sockets and writable shared mappings this process has, on Linux."""
    if sys.platform != "linux":
        return 0
    found = sum(line.split()[1] == b"rw-s" for line in _MAPPINGS.read_bytes().splitlines())
    return found + sum(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for _, mode in open_files())


def note_open_files() -> None:
    """Remember the files that are open now, for `flush_files`."""
    _opened[:] = _files()


def flush() -> None:
    """Flush the standard streams: a fork would write their buffers again."""
    _flush(sys.stdout, sys.stderr)
    ctypes.CDLL(None).fflush(None)


def flush_files() -> None:
    """Flush all files: the process ends without the usual cleanup of the interpreter."""
    _flush(*_opened, *_files())


def _files() -> list[io.IOBase]:
    """Return the files that were opened since `gc.freeze`."""
    return [each for each in gc.get_objects() if isinstance(each, _WRITTEN)]


def _flush(*streams: io.IOBase | TextIO) -> None:
    for stream in streams:
        with suppress(Exception):  # a script closed or replaced it
            stream.flush()


def work_in(folder: str) -> None:
    """Work in a folder, and create temporary files there."""
    os.environ.update(TMPDIR=folder, PWD=folder)
    os.chdir(folder)
    tempfile.tempdir = None


def hand_back_memory() -> None:
    """Allocate each large buffer as a mapping of its own, so that freeing it returns its memory.

    The C library of Linux does so only until the first is freed; then it keeps freed buffers in
    pools for each thread. A server of many threads that streams large results would grow by 40 MB
    a download, as measured.
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 256 * KIB)
