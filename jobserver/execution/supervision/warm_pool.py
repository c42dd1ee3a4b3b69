"""Which scripts a warm process has loaded, and when another one is needed.

The script files are checked before each use. When one changed, a new warm process loads them beside
the old one, which keeps serving the scripts that did not change. A second warm process leaves out a
module that is slow to load, so that other scripts need not wait for it. A module that exceeds the
time limit or ends its process is left out by all. One that starts threads or processes is imported
by each run of its scripts instead.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import bson
from bson.errors import BSONError

from jobserver.execution.supervision.child_process import ChildEnded, ChildProcess, Pump
from jobserver.execution.supervision.warm_process import SEND_SECONDS, WarmProcess, take_fork
from jobserver.scripts.loading import Stamps, stamps
from jobserver.scripts.version import files_of
from jobserver.system.process_tree import describe_end
from jobserver.system.protocol import ChannelClosed, Message, Setup

log = logging.getLogger(__name__)

#: Seconds after which another warm process leaves out a module that is still loading.
_PATIENCE_SECONDS = 0.5
#: Seconds that a base process may take to fork.
_FORK_SECONDS = 5.0
#: Seconds that a process may take to end after it closed its channel.
_END_SECONDS = 0.5
_APART = "when it is imported, so each of its runs imports it anew; do that in the function"


@dataclass
class ScriptFindings:
    """What is known about the modules in one state of the files.

    Attributes
    ----------
    failed : dict of str to str
        Why modules cannot be loaded.
    apart : dict of str to str
        What modules do when they are imported that forks cannot share, such as start threads.
    """

    failed: dict[str, str] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)

    def only(self, names: Collection[str]) -> ScriptFindings:
        """Return the findings about some modules."""
        return ScriptFindings(
            {name: text for name, text in self.failed.items() if name in names},
            {name: text for name, text in self.apart.items() if name in names},
        )


class SharedFindings:
    """What the children of a server find out about modules, so that each is tried only once."""

    def __init__(self) -> None:
        self._stamps: Stamps | None = None
        self._findings = ScriptFindings()
        self._lock = threading.Lock()

    def find(self, folder: Path, now: Stamps) -> ScriptFindings:
        """Return the findings for a state of the files; those about unchanged modules are kept."""
        with self._lock:
            if now != self._stamps:
                changed = _changed(self._stamps or {}, now)
                names = {*self._findings.failed, *self._findings.apart}
                kept = {
                    name for name in names if not changed & files_of(folder, name, {*now, *changed})
                }
                self._stamps, self._findings = now, self._findings.only(kept)
            return self._findings


class WarmPool:
    """The warm processes below one base process.

    Parameters
    ----------
    child : ChildProcess
        Guard and base process.
    pump : Pump
        Delivers what they send.
    setup : Setup
        What the child needs to load scripts.
    shared : SharedFindings
        What the server's other children found out.
    """

    def __init__(
        self, child: ChildProcess, pump: Pump, setup: Setup, shared: SharedFindings
    ) -> None:
        self._child = child
        self._pump = pump
        self._limit = setup["import_timeout"]
        self._folder = Path(setup["scripts"])
        self._shared = shared
        self._findings = ScriptFindings()
        self._stamps: Stamps | None = None
        self._ordered: list[tuple[Stamps, Message]] = []
        self._warms: list[WarmProcess] = []
        self._ended: dict[int, int] = {}
        self._suspects: set[str] = set()
        self._ordered_at = 0.0
        self._is_cut_off = self._is_ready = False
        pump.watch(child.channel, self._read)

    def look(self) -> None:
        """Load the scripts again if their files changed."""
        now = stamps(self._folder)
        if now == self._stamps:
            return
        changed = set() if self._stamps is None else _changed(self._stamps, now)
        late = {name for name in self.late if not changed & self._files(name, now, changed)}
        self._suspects = late | set(map(_module, changed))
        self._stamps, self._findings = now, self._shared.find(self._folder, now)
        for warm in list(self._warms):
            if warm.table is None:
                self._end(warm)
        self._load(frozenset())
        if late:  # known to be slow: need not be found out again
            self._load(frozenset(late))

    def tick(self) -> None:
        """Leave out modules that take too long, and end processes that are not needed any more.

        Raises
        ------
        ChildEnded
            If the base process, or a warm process that loaded everything, ended.
        """
        is_late = self._ordered and time.monotonic() - self._ordered_at > _FORK_SECONDS
        if self._is_cut_off or (self._is_ready and is_late):
            raise ChildEnded
        for warm in list(self._warms):
            self._settle(warm)
        for warm in self._current:
            if warm.loading:
                self._limit_time(warm, *warm.loading)
        if not self._ordered and not any(map(self._is_complete, self._current)):
            self._load(frozenset())
        if complete := self._complete():
            for warm in list(self._warms):
                if warm is not complete and not warm.is_busy:
                    self._end(warm)

    def pick(self, names: Collection[str]) -> WarmProcess | None:
        """Return a process with some scripts as their files are now; None if none has them yet.

        If all scripts are loaded and some are missing, return a process to report them.
        """
        having = (warm for warm in self._ready() if self._is_unchanged(warm, names))
        return next(having, None) or self._complete()

    @property
    def versions(self) -> Mapping[str, str | None] | None:
        """Names and versions of all scripts; None while some are being loaded."""
        complete = self._complete()
        return complete.versions if complete else None

    def newest(self) -> WarmProcess | None:
        """Return a process with the scripts as they are now; it may lack those slow to load."""
        return next((warm for warm in self._ready() if warm.stamps == self._stamps), None)

    def any_ready(self) -> WarmProcess | None:
        """Return the process with the newest and most scripts; None if none is ready yet."""
        return next(iter(self._ready()), None)

    def _complete(self) -> WarmProcess | None:
        """Return a process with all scripts as they are now; None if there is none yet."""
        ready = (warm for warm in self._ready() if warm.stamps == self._stamps)
        return next(filter(self._is_complete, ready), None)

    def _ready(self) -> list[WarmProcess]:
        """Return the processes that have loaded: the newest first, of these the most complete."""
        ready = [warm for warm in self._warms if warm.table]
        return sorted(ready, key=lambda warm: (warm.stamps != self._stamps, len(warm.skip)))

    @property
    def is_loading(self) -> bool:
        """Whether something is being loaded."""
        return bool(self._ordered) or any(warm.table is None for warm in self._warms)

    @property
    def late(self) -> list[str]:
        """Modules that are slow to load and not loaded yet by every process."""
        left_out = {name for warm in self._current for name in warm.skip}
        return sorted(left_out - self._findings.failed.keys())

    def why_not(self, warm: WarmProcess, names: Collection[str]) -> dict[str, str]:
        """Return why some scripts that a process knows cannot run: another one failed on them."""
        modules = {name: warm.module_of(name) or "" for name in names}
        failed = self._findings.failed
        return {name: failed[modules[name]] for name in names if modules[name] in failed}

    @property
    def failed(self) -> list[str]:
        """Modules that cannot be loaded."""
        return sorted(self._findings.failed)

    def remarks(self) -> Iterator[dict[str, str]]:
        """Yield what is wrong with modules, as `GET /scripts` lists it."""
        for name, text in self._findings.failed.items():
            yield {"module": name, "error": text}
        for name, what in self._findings.apart.items():
            yield {"module": name, "error": f"{what} {_APART}"}
        for name in self.late:
            yield {"module": name, "error": "is still being imported"}

    def close(self) -> None:
        """Stop listening to all of them."""
        for warm in self._warms:
            warm.close()
        self._warms.clear()
        self._pump.forget(self._child.channel)

    @property
    def _current(self) -> list[WarmProcess]:
        return [warm for warm in self._warms if warm.stamps == self._stamps]

    def _is_complete(self, warm: WarmProcess) -> bool:
        """Whether it leaves out only modules that cannot be loaded."""
        return warm.skip <= self._findings.failed.keys()

    def _load(self, left_out: frozenset[str]) -> None:
        """Order a warm process that leaves out some modules, and those that failed."""
        order: Message = {
            "op": "load",
            "skip": sorted(left_out | self._findings.failed.keys()),
            "apart": sorted(self._findings.apart),
            "last": sorted(self._suspects),
        }
        try:
            self._child.channel.send(order, SEND_SECONDS)
        except ChannelClosed as error:
            raise ChildEnded from error
        self._ordered.append((self._stamps or {}, order))
        self._ordered_at = time.monotonic()

    def _settle(self, warm: WarmProcess) -> None:
        """Note what a warm process started, and whether it ended."""
        is_current = warm.stamps == self._stamps
        for name, what in warm.apart.items() if is_current else ():
            if name not in self._findings.apart:
                self._findings.apart[name] = what
                log.warning("%s %s %s", self._file(name), what, _APART)
        if warm.pid not in self._ended:
            if warm.loading and warm.silent_for > _END_SECONDS:
                self._fail(warm, "failed: it closed the files of its process")
            return
        status = self._ended.pop(warm.pid)
        if not warm.loading:
            raise ChildEnded(status)
        if not warm.apart and is_current:
            self._fail(warm, f"failed: {describe_end(status)}")
        self._forget(warm)

    def _limit_time(self, warm: WarmProcess, module: str, _: str, began: float) -> None:
        took = time.monotonic() - began
        if module in self._findings.failed:
            self._end(warm)
        elif took > self._limit:
            self._fail(warm, f"took longer than {self._limit:g} s")
        elif took > _PATIENCE_SECONDS and not self._ordered:
            left_out = warm.skip | {module}
            if not any(left_out <= other.skip for other in self._current):
                self._load(left_out)

    def _fail(self, warm: WarmProcess, why: str) -> None:
        """Leave out the module being loaded from now on."""
        module, doing, _ = warm.loading or ("", "", 0.0)
        text = f"{doing} {self._file(module)} {why}"
        if module not in self._findings.failed:
            self._findings.failed[module] = text
            log.warning("%s", f"{text}; it wrote: {warm.printed}" if warm.printed else text)
        self._end(warm)

    def _file(self, module: str) -> str:
        """Return the file of a module, for messages."""
        return f"{module}.py" if f"{module}.py" in (self._stamps or ()) else module

    def _end(self, warm: WarmProcess) -> None:
        with suppress(ChannelClosed):  # the next `tick` notices
            self._child.channel.send({"op": "end", "pid": warm.pid}, SEND_SECONDS)
        self._forget(warm)

    def _forget(self, warm: WarmProcess) -> None:
        if warm in self._warms:
            self._warms.remove(warm)
            warm.close()

    def _is_unchanged(self, warm: WarmProcess, names: Collection[str]) -> bool:
        """Whether it has some scripts, and no file they depend on changed since."""
        now = self._stamps or {}
        changed = _changed(warm.stamps, now)
        for name in names:
            module = warm.module_of(name)
            if module is None or (changed and changed & self._files(module, now, changed)):
                return False
        return True

    def _files(self, module: str, now: Stamps, changed: set[str]) -> set[str]:
        """Return the files that a module depends on, including deleted ones."""
        return files_of(self._folder, module, {*now, *changed})

    def _read(self) -> None:
        try:
            for message in self._child.channel.read():
                self._handle(bson.decode(message.raw))
        except (ChannelClosed, BSONError, KeyError, TypeError, ValueError):
            self._is_cut_off = True
            self._pump.forget(self._child.channel)

    def _handle(self, message: Message) -> None:
        if message["op"] == "ready":
            self._is_ready, self._ordered_at = True, time.monotonic()
        elif message["op"] == "forked":
            ordered_for, order = self._ordered.pop(0)
            channel, output = take_fork(self._child.channel)
            pid = int(message["pid"])
            warm = WarmProcess(self._pump, pid, channel, output, ordered_for, order)
            self._warms.append(warm)
        elif message["op"] == "ended" and any(w.pid == message["pid"] for w in self._warms):
            self._ended[int(message["pid"])] = int(message["status"])


def _changed(former: Stamps, now: Stamps) -> set[str]:
    """Return the files that are new, gone or modified."""
    return {file for file in former.keys() | now.keys() if former.get(file) != now.get(file)}


def _module(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")
