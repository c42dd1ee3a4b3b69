"""Which scripts a warm process has loaded, and when another one is needed.

The files of the scripts are looked at before each use. When one changed, a new warm process loads
them beside the old one, which goes on with the scripts that did not change. A module that takes
long is left out by another warm process, so that nobody else waits for it; one that takes too long,
or ends its process, is left out by all. A module that starts threads or processes is left to be
imported by each run of its scripts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import bson
from bson.errors import BSONError

from jobserver.execution.supervision.child_process import ChildEnded, ChildProcess, Pump
from jobserver.execution.supervision.warm_process import SEND_SECONDS, WarmProcess, forked
from jobserver.scripts.loading import Stamps, stamps
from jobserver.scripts.version import files_of
from jobserver.system.process_tree import describe_end
from jobserver.system.protocol import ChannelClosed, Message

log = logging.getLogger(__name__)

#: Seconds after which a module that is still loading is left out by another warm process.
PATIENCE_SECONDS = 0.5
#: Seconds that a base process may take to fork.
START_SECONDS = 5.0
#: Seconds that a process may take to end after it closed its channel.
END_SECONDS = 0.5
_APART = "when it is imported, so each of its runs imports it anew; do that in the function"


@dataclass
class ScriptFindings:
    """What is known of the modules of one state of the files.

    Attributes
    ----------
    failed : dict of str to str
        Why modules cannot be loaded.
    apart : dict of str to str
        What modules do when they are imported that forks cannot share, such as start threads.
    """

    failed: dict[str, str] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)

    def copy(self, name: str, other: ScriptFindings) -> None:
        """Take over what is known of a module."""
        for mine, others in ((self.failed, other.failed), (self.apart, other.apart)):
            if name in mine:
                others[name] = mine[name]


class SharedFindings:
    """What the slots of a server find out about modules: each is waited for only once."""

    def __init__(self) -> None:
        self._stamps: Stamps | None = None
        self._findings = ScriptFindings()
        self._lock = threading.Lock()

    def find(self, folder: Path, seen: Stamps) -> ScriptFindings:
        """The findings for a state of the files; what did not change is not tried again."""
        with self._lock:
            if seen != self._stamps:
                changed = _changed(self._stamps or {}, seen)
                former, self._findings = self._findings, ScriptFindings()
                self._stamps = seen
                for name in {*former.failed, *former.apart}:
                    if not changed & files_of(folder, name, {*seen, *changed}):
                        former.copy(name, self._findings)
            return self._findings


class WarmPool:
    """The warm processes below one base process.

    Parameters
    ----------
    child : ChildProcess
        Guard and base process.
    pump : Pump
        Hands out what they send.
    setup : dict
        See `jobserver.execution.supervision.child_messages`.
    shared : SharedFindings
        Of the server.
    """

    def __init__(
        self, child: ChildProcess, pump: Pump, setup: Message, shared: SharedFindings
    ) -> None:
        self._child = child
        self._pump = pump
        self._limit: float = setup["import_timeout"]
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
        """See whether files changed, and load them anew then."""
        seen = stamps(self._folder)
        if seen == self._stamps:
            return
        changed = set() if self._stamps is None else _changed(self._stamps, seen)
        late = {name for name in self.late if not changed & self._files(name, seen, changed)}
        self._suspects = late | set(map(_module, changed))
        self._stamps, self._findings = seen, self._shared.find(self._folder, seen)
        for warm in list(self._warms):
            if warm.table is None:
                self._end(warm)
        self._load(frozenset())
        if late:  # nobody is to find out again that they take long
            self._load(frozenset(late))

    def tick(self) -> None:
        """Do what is due: leave out what takes too long, and end what is no longer needed.

        Raises
        ------
        ChildEnded
            If something ended that should not.
        """
        is_late = self._ordered and time.monotonic() - self._ordered_at > START_SECONDS
        if self._is_cut_off or (self._is_ready and is_late):
            raise ChildEnded
        for warm in list(self._warms):
            self._settle(warm)
        for warm in self._current:
            if warm.loading:
                self._check_time(warm, *warm.loading)
        if not self._ordered and not any(map(self._is_complete, self._current)):
            self._load(frozenset())
        if complete := self.complete():
            for warm in list(self._warms):
                if warm is not complete and not warm.is_busy:
                    self._end(warm)

    def pick(self, names: Collection[str]) -> WarmProcess | None:
        """A warm process that has some scripts as their files are now; None if none has yet."""
        ready = sorted((w for w in self._current if w.table), key=lambda warm: len(warm.skip))
        for warm in ready:
            if all(map(warm.module_of, names)):
                return warm
        for warm in self._warms:
            if warm.table and warm not in ready and self._is_unchanged(warm, names):
                return warm
        return self.complete()  # it says what it does not know

    def complete(self) -> WarmProcess | None:
        """A warm process with all scripts as they are now; None if there is none yet."""
        ready = (warm for warm in self._current if warm.table)
        return next(filter(self._is_complete, ready), None)

    def newest(self) -> WarmProcess | None:
        """A warm process with scripts as they are now; one may lack what takes long to load."""
        ready = [warm for warm in self._current if warm.table]
        return min(ready, key=lambda warm: len(warm.skip), default=None)

    def any_ready(self) -> WarmProcess | None:
        """A warm process with as many scripts as there are yet."""
        ready = [warm for warm in self._warms if warm.table]
        return min(ready, key=lambda w: (w.stamps != self._stamps, len(w.skip)), default=None)

    @property
    def is_loading(self) -> bool:
        """Whether something is being loaded."""
        return bool(self._ordered) or any(warm.table is None for warm in self._warms)

    @property
    def late(self) -> list[str]:
        """Modules that take long to load."""
        left_out = {name for warm in self._current for name in warm.skip}
        return sorted(left_out - self._findings.failed.keys())

    def why_not(self, warm: WarmProcess, names: Collection[str]) -> dict[str, str]:
        """Why some scripts cannot run though a process knows them: what holds for another one."""
        modules = {name: warm.module_of(name) or "" for name in names}
        failed = self._findings.failed
        return {name: failed[modules[name]] for name in names if modules[name] in failed}

    @property
    def failed(self) -> list[str]:
        """Modules that cannot be loaded."""
        return sorted(self._findings.failed)

    def remarks(self) -> Iterator[dict[str, str]]:
        """What there is to say of modules, as `GET /scripts` lists it."""
        for name, text in self._findings.failed.items():
            yield {"module": name, "error": text}
        for name, what in self._findings.apart.items():
            yield {"module": name, "error": f"{what} {_APART}"}
        for name in self.late:
            yield {"module": name, "error": "is still being imported"}

    def close(self) -> None:
        """Listen to all of it no longer."""
        for warm in self._warms:
            warm.close()
        self._warms.clear()
        self._pump.forget(self._child.channel)

    @property
    def _current(self) -> list[WarmProcess]:
        return [warm for warm in self._warms if warm.stamps == self._stamps]

    def _is_complete(self, warm: WarmProcess) -> bool:
        """Whether it leaves nothing out that can be loaded."""
        return warm.skip <= self._findings.failed.keys()

    def _load(self, left_out: frozenset[str]) -> None:
        """Order a warm process that leaves out what failed, and some modules more."""
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
        """Take note of what a warm process started, and of its end."""
        is_current = warm.stamps == self._stamps
        for name, what in warm.apart.items() if is_current else ():
            if name not in self._findings.apart:
                self._findings.apart[name] = what
                log.warning("%s %s %s", self._file(name), what, _APART)
        if warm.pid not in self._ended:
            if warm.is_gone and warm.loading and time.monotonic() - warm.gone > END_SECONDS:
                self._fail(warm, "failed: it closed the files of its process")
            return
        status = self._ended.pop(warm.pid)
        if not warm.loading:
            raise ChildEnded(status)
        if not warm.apart and is_current:
            self._fail(warm, f"failed: {describe_end(status)}")
        self._forget(warm)

    def _check_time(self, warm: WarmProcess, module: str, _: str, began: float) -> None:
        took = time.monotonic() - began
        if module in self._findings.failed:
            self._end(warm)
        elif took > self._limit:
            self._fail(warm, f"took longer than {self._limit:g} s")
        elif took > PATIENCE_SECONDS and not self._ordered:
            left_out = warm.skip | {module}
            if not any(left_out <= other.skip for other in self._current):
                self._load(left_out)

    def _fail(self, warm: WarmProcess, why: str) -> None:
        """A module cannot be loaded: it is left out from now on."""
        module, doing, _ = warm.loading or ("", "", 0.0)
        text = f"{doing} {self._file(module)} {why}"
        if module not in self._findings.failed:
            self._findings.failed[module] = text
            log.warning("%s", f"{text}; it wrote: {warm.printed}" if warm.printed else text)
        self._end(warm)

    def _file(self, module: str) -> str:
        """The file of a module, for messages."""
        return f"{module}.py" if f"{module}.py" in (self._stamps or ()) else module

    def _end(self, warm: WarmProcess) -> None:
        with suppress(ChannelClosed):  # it is noticed next
            self._child.channel.send({"op": "end", "pid": warm.pid}, SEND_SECONDS)
        self._forget(warm)

    def _forget(self, warm: WarmProcess) -> None:
        if warm in self._warms:
            self._warms.remove(warm)
            warm.close()

    def _is_unchanged(self, warm: WarmProcess, names: Collection[str]) -> bool:
        """Whether it has some scripts, and no file changed since that they depend on."""
        now = self._stamps or {}
        changed = _changed(warm.stamps, now)
        for name in names:
            module = warm.module_of(name)
            if module is None or changed & self._files(module, now, changed):
                return False
        return True

    def _files(self, module: str, now: Stamps, changed: set[str]) -> set[str]:
        """The files that a module depends on, those that are gone among them."""
        return files_of(self._folder, module, {*now, *changed})

    def _read(self) -> None:
        try:
            for message in self._child.channel.read():
                self._hear(bson.decode(message.raw))
        except (ChannelClosed, BSONError, KeyError, TypeError, ValueError):
            self._is_cut_off = True
            self._pump.forget(self._child.channel)

    def _hear(self, message: Message) -> None:
        if message["op"] == "ready":
            self._is_ready, self._ordered_at = True, time.monotonic()
        elif message["op"] == "forked":
            seen, order = self._ordered.pop(0)
            channel, output = forked(self._child.channel)
            warm = WarmProcess(self._pump, int(message["pid"]), channel, output, seen, order)
            self._warms.append(warm)
        elif message["op"] == "ended" and any(w.pid == message["pid"] for w in self._warms):
            self._ended[int(message["pid"])] = int(message["status"])


def _changed(former: Stamps, now: Stamps) -> set[str]:
    """The files that are new, gone or written since."""
    return {file for file in former.keys() | now.keys() if former.get(file) != now.get(file)}


def _module(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")
