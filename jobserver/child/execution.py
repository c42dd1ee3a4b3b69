"""Carrying out a script: what it gave, or what it raised, as the message that ends its attempt."""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from jobserver.encoding import store_result
from jobserver.errors import ApiError, Problem, ProgramFailed
from jobserver.processes.kinds import make_process
from jobserver.processes.run_context import (
    Failure,
    ItemFailed,
    RunContext,
    clipped,
    memory_exceeded,
    use_context,
)
from jobserver.processes.seeds import Seeds
from jobserver.sizes import exact_size
from jobserver.system.paths import import_folders, without
from jobserver.system.protocol import send

if TYPE_CHECKING:
    import socket

    from jobserver.scripts.registry import Registry
    from jobserver.system.protocol import Message

_PACKAGE = Path(__file__).parents[1]
_log = logging.getLogger("jobserver")


def execute(registry: Registry, spec: Message, home: str, channel: socket.socket) -> Message:
    """Run a script, and tell how it ended; nothing that it raises gets out.

    Parameters
    ----------
    registry : Registry
        The script table.
    spec : dict
        See `jobserver.child.attempt.Attempt`.
    home : str
        Folder of the server: it is cut off from file names that users see.
    channel : socket
        To the server.

    Returns
    -------
    dict
        ``state``, and ``result``, ``file`` (of `jobserver.encoding.Kept`) or ``error`` and
        ``message``.
    """
    folder = spec["folder"]  # it may lie in the home
    hidden = [folder, home, *_data_folders(spec), *import_folders()]
    describe = partial(_described, spec, hidden)
    course = RunContext(
        folder,
        report=partial(send, channel),
        log=partial(_say, sys.stdout),
        describe=describe,
        file_size=spec["file_size"],
        channel=channel,
        seeds=Seeds(spec["seed"]),
    )
    try:
        with use_context(course):
            return _finished(make_process(registry, spec["script"]).run(spec["data"]), spec)
    except BaseException as error:  # the script's SystemExit and KeyboardInterrupt too
        where = course.prefix()
        failure = describe(error, True)
        return _failed(failure.error, where + failure.message)


def _described(
    spec: Message, hidden: list[str], error: BaseException, with_traceback: bool
) -> Failure:
    """A failure as the job tells it; its traceback goes to the log if that is wanted."""
    kind = type(error).__name__
    if isinstance(error, ItemFailed):
        return error.failure
    if isinstance(error, ProgramFailed):  # its complaints are in the log already
        return Failure(kind, without(hidden, str(error)))
    if isinstance(error, ApiError):
        reasons = "; ".join(_reason(problem) for problem in error.errors) or error.message
        return Failure(kind, reasons)
    if with_traceback:
        _print_traceback(error, hidden)
    if isinstance(error, MemoryError):
        return Failure("MemoryError", memory_exceeded(spec["memory"]))
    said = f"{_text(error)}{_limit_hit(error, spec)}"
    return Failure(kind, without(hidden, f"{kind}: {said}" if said else kind))


def _say(stream: TextIO | None, text: str) -> None:
    """Write a line to the log, unless the script closed it."""
    if stream is not None and not getattr(stream, "closed", False):
        print(text, file=stream, flush=True)


def problems_of(registry: Registry, script: Message, has_data: bool) -> list[Problem]:
    """Every reason why a script cannot run with its parameters."""
    try:
        return make_process(registry, script).problems(has_data)
    except ApiError as refusal:
        return list(refusal.errors)


def _finished(value: object, spec: Message) -> Message:
    limit = min(spec["largest_result"], spec["file_size"])
    kept = store_result(value, Path(spec["folder"]), spec["small_result"], limit)
    for warning in kept.warnings:
        _log.warning("%s", warning)
    return {"state": "finished", **({"file": kept.file} if kept.file else {"result": kept.value})}


def _failed(error: str, message: str) -> Message:
    return {"state": "failed", "error": clipped(error), "message": clipped(message)}


def _limit_hit(error: BaseException, spec: Message) -> str:
    """Which limit of the run an error of the operating system comes from."""
    match error:
        case OSError(errno=errno.ENOMEM):
            return f": {memory_exceeded(spec['memory'])}"
        case OSError(errno=errno.EMFILE):
            return f": at most {spec['files']} at once"
        case OSError(errno=errno.EFBIG):
            return f": at most {exact_size(spec['file_size'])}"
    return ""


def _reason(problem: Problem) -> str:
    return f"{problem.field} {problem.problem}"


def _text(error: BaseException) -> str:
    """An exception's text, also where its ``__str__`` fails."""
    try:
        return str(error)
    except Exception as failure:  # user code
        return f"(its text cannot be made: {type(failure).__name__})"


def _print_traceback(error: BaseException, hidden: list[str]) -> None:
    """Write a traceback to the log, from the script's first frame on."""
    summary = traceback.TracebackException.from_exception(error, compact=True)
    for part in _chain(summary, set()):
        frames = [frame for frame in part.stack if not _is_own(Path(frame.filename))]
        part.stack = traceback.StackSummary.from_list(frames)
    print(without(hidden, "".join(summary.format())), file=sys.stderr, end="")


def _chain(
    summary: traceback.TracebackException, seen: set[int]
) -> Iterator[traceback.TracebackException]:
    """An exception, its causes and the members of its group."""
    if id(summary) not in seen:
        seen.add(id(summary))
        yield summary
        for linked in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
            if linked is not None:
                yield from _chain(linked, seen)


def _is_own(path: Path) -> bool:
    """Whether a file is of this package, and no shipped script."""
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_PACKAGE / "scripts")


def _data_folders(spec: Message) -> list[str]:
    """The folder of a run's data file, where it has one."""
    data = spec["data"] or {}
    return [str(Path(data["path"]).parent)] if "path" in data else []
