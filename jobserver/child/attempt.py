"""One attempt of a job in a process of its own: its surroundings, its limits, how it ends."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from jobserver.child.provenance import provenance
from jobserver.context import current_job
from jobserver.encoding import store_result
from jobserver.encoding.text import text_of
from jobserver.errors import ApiError, JobNotRunnable, Problem, ProgramFailed
from jobserver.processes.function import Process
from jobserver.processes.kinds import make_process
from jobserver.processes.run_context import (
    Failure,
    ItemFailed,
    RunContext,
    clipped,
    memory_exceeded,
    use_context,
)
from jobserver.processes.seeds import Seeds, plant
from jobserver.scripts.wording import import_folders, without
from jobserver.sizes import exact_size
from jobserver.system.process_tree import flush, flush_files, work_in
from jobserver.system.protocol import send

if TYPE_CHECKING:
    import socket

    from jobserver.scripts.registry import Registry
    from jobserver.system.protocol import Message, RunSpec

_OWN_SIZE = Path("/proc/self/statm")
_PACKAGE = Path(__file__).parents[1]
_log = logging.getLogger("jobserver")


class Attempt:
    """Runs one job's script and reports how it ended, whatever the script raises.

    Parameters
    ----------
    registry : Registry
        The script table.
    home : str
        Folder of the server, which is removed from the paths that users see.
    spec : RunSpec
        What to run.
    channel : socket
        To the server.
    """

    def __init__(
        self, registry: Registry, home: str, spec: RunSpec, channel: socket.socket
    ) -> None:
        self.registry = registry
        self.spec = spec
        self._channel = channel
        self._pid = os.getpid()
        # The run's folder first: it may lie in the home.
        self._hidden = [spec["folder"], home, *_data_folders(spec), *import_folders()]

    def run(self) -> None:
        """Run, and send the message that ends the attempt."""
        spec = self.spec
        origin = provenance(self.registry, spec["script"], spec["data"])
        self._send({"op": "provenance", "provenance": origin})
        work_in(spec["folder"])
        _limit(spec)
        plant(spec["seed"])
        _report_unread(self.registry, spec)
        with current_job.entered(spec["id"], spec["attempt"], self._report, spec["seed"]):
            message = self._execute()
        flush()
        flush_files()
        self._send({**message, "op": "done"})

    def _execute(self) -> Message:
        """Run the script, and return the message about its result or failure."""
        context = RunContext(
            self.spec["folder"],
            report=partial(send, self._channel),
            log=partial(_print_line, sys.stdout),
            describe=self._describe,
            text=self._text_of,
            file_size=self.spec["file_size"],
            collected=_most_collected(self.spec),
            channel=self._channel,
            seeds=Seeds(self.spec["seed"]),
        )
        try:
            with use_context(context):
                process = make_process(self.registry, self.spec["script"])
                return self._finished(process.run(self.spec["data"]))
        except BaseException as error:  # the script's SystemExit and KeyboardInterrupt too
            where = context.prefix()
            failure = self._describe(error, True)
            return _failed(failure.error, where + failure.message)

    def _finished(self, value: object) -> Message:
        spec = self.spec
        folder, small = Path(spec["folder"]), spec["small_result"]
        kept = store_result(value, folder, small, _result_limit(spec), self._text_of)
        for warning in kept.warnings:
            _log.warning("%s", warning)
        return {
            "state": "finished",
            **({"file": kept.file} if kept.file else {"result": kept.value}),
        }

    def _text_of(self, value: object) -> str:
        """Return the text of an object, such as an exception, without paths of the server."""
        return without(self._hidden, text_of(value))

    def _describe(self, error: BaseException, with_traceback: bool) -> Failure:
        """Return a failure as the job reports it; print its traceback to the log if wanted."""
        kind = type(error).__name__
        if isinstance(error, ItemFailed):
            return error.failure
        if isinstance(error, ProgramFailed):  # its own messages are in the log already
            return Failure(kind, without(self._hidden, str(error)))
        if isinstance(error, ApiError):
            reasons = "; ".join(_reason(problem) for problem in error.errors) or error.message
            return Failure(kind, reasons)
        if with_traceback:
            _print_traceback(error, self._hidden)
        if isinstance(error, MemoryError):
            return Failure("MemoryError", memory_exceeded(self.spec["memory"]))
        text = f"{_text(error)}{_limit_hit(error, self.spec)}"
        return Failure(kind, without(self._hidden, f"{kind}: {text}" if text else kind))

    def _report(self, fraction: float, text: str | None) -> None:
        self._send({"op": "progress", "fraction": fraction, "message": text})

    def _send(self, message: Message) -> None:
        """Send a message; a copy of the process that a script forked ends here instead."""
        if os.getpid() != self._pid:
            os._exit(0)
        send(self._channel, message)


def script_problems(registry: Registry, script: Message, has_data: bool) -> list[Problem]:
    """Return every reason why a script cannot run with its parameters."""
    try:
        return make_process(registry, script).problems(has_data)
    except ApiError as refusal:
        return list(refusal.errors)


def _report_unread(registry: Registry, spec: RunSpec) -> None:
    """Log which fields of the job are named like parameters of its script, which does not get them.

    Nothing refuses them, as they may be notes of the client's.
    """
    if not spec["fields"] or spec["script"].get("type", Process.type) != Process.type:
        return
    try:
        process = Process(registry, spec["script"])
    except JobNotRunnable:  # the run reports it
        return
    named = {*process.script.signature.named} - process.kwargs.keys()
    for name in sorted(named.intersection(spec["fields"])):
        kwargs = f'"kwargs": {{"{name}": ...}}'
        _log.warning('The script does not get the field "%s": it belongs in its %s.', name, kwargs)


def _limit(spec: RunSpec) -> None:
    """Limit memory, open files and file size of this process and of those that it starts."""
    wanted = {resource.RLIMIT_NOFILE: spec["files"], resource.RLIMIT_FSIZE: spec["file_size"]}
    if spec["memory"]:  # on top of what the process has already
        wanted[resource.RLIMIT_AS] = _address_space() + spec["memory"]
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, limit))


def _address_space() -> int:
    """Return the bytes of address space of this process; 0 if unknown."""
    try:
        return int(_OWN_SIZE.read_bytes().split()[0]) * resource.getpagesize()
    except OSError:  # another system
        return 0


def _print_line(stream: TextIO | None, text: str) -> None:
    """Write a line to the log, unless the script closed the stream."""
    if stream is not None and not getattr(stream, "closed", False):
        print(text, file=stream, flush=True)


def _result_limit(spec: RunSpec) -> int:
    return min(spec["largest_result"], spec["file_size"])


def _most_collected(spec: RunSpec) -> int:
    """Return the bytes of memory for a generator's items: half of it, as they are encoded then."""
    return min(_result_limit(spec), spec["memory"] // 2 or _result_limit(spec))


def _failed(error: str, message: str) -> Message:
    return {"state": "failed", "error": clipped(error), "message": clipped(message)}


def _limit_hit(error: BaseException, spec: RunSpec) -> str:
    """Return the limit of the run that an error of the operating system comes from."""
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
    """Return an exception's text, even if its ``__str__`` fails."""
    try:
        return str(error)
    except Exception as failure:  # user code
        return f"(its __str__ failed: {type(failure).__name__})"


def _print_traceback(error: BaseException, hidden: list[str]) -> None:
    """Print a traceback to the log, starting at the script's first frame."""
    summary = traceback.TracebackException.from_exception(error, compact=True)
    for part in _chain(summary, set()):
        frames = [frame for frame in part.stack if not _is_own(Path(frame.filename))]
        part.stack = traceback.StackSummary.from_list(frames)
    print(without(hidden, "".join(summary.format())), file=sys.stderr, end="")


def _chain(
    summary: traceback.TracebackException, seen: set[int]
) -> Iterator[traceback.TracebackException]:
    """Yield an exception, its causes and the members of its group."""
    if id(summary) not in seen:
        seen.add(id(summary))
        yield summary
        for linked in (summary.__cause__, summary.__context__, *(summary.exceptions or ())):
            if linked is not None:
                yield from _chain(linked, seen)


def _is_own(path: Path) -> bool:
    """Whether a file belongs to this package, except the shipped scripts."""
    return path.is_relative_to(_PACKAGE) and not path.is_relative_to(_PACKAGE / "scripts")


def _data_folders(spec: RunSpec) -> list[str]:
    """Return the folder of a run's data file, if it has one."""
    data = spec["data"] or {}
    return [str(Path(data["path"]).parent)] if "path" in data else []
