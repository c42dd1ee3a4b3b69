"""The server's side of one child: it has it load scripts and run jobs, and tells how these end."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
from bson.errors import BSONError

from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision import child_messages
from jobserver.execution.supervision.child_messages import Watcher
from jobserver.execution.supervision.child_process import ChildEnded, ChildProcess, Pump, tree_of
from jobserver.execution.supervision.limits import Limits, MemoryBaseline
from jobserver.execution.supervision.sandbox import sealed
from jobserver.execution.supervision.warm_pool import SharedFindings, WarmPool
from jobserver.execution.supervision.warm_process import RunProcess, WarmProcess
from jobserver.jobs.job import State
from jobserver.jobs.outcome import DISTURBED, NOT_BEGUN, UNSTARTED, Outcome
from jobserver.processes.forms import function_names, holds_code
from jobserver.storage.database import Document
from jobserver.system.process_tree import CUT_OFF
from jobserver.system.protocol import ChannelClosed, Message
from jobserver.system.shared_memory import Segments

log = logging.getLogger(__name__)

#: Seconds that a base process may take to start, and a run to begin.
READY_SECONDS = 60.0
BEGIN_SECONDS = 10.0
#: Seconds between two looks at what is due.
TICK_SECONDS = 0.25
#: Seconds that a run may take to be gone, once it said that it is over, and once it is cut off.
END_SECONDS = 2.0
CUT_SECONDS = 0.5


class ChildSupervisor:
    """Owns one child, and replaces it when it is gone.

    Not thread-safe but for `stop`: the thread that owns it makes all other calls.

    Parameters
    ----------
    setup : dict
        What the child needs to load its scripts; see `setup_message`.
    shared : SharedFindings
        What all children of the server find out about scripts.
    maps : ActiveMaps
        Where slots without a job find the maps that run here.
    walls : sequence of str
        What to put before the child's command; see `jobserver.execution.supervision.sandbox`.
    """

    def __init__(
        self, setup: Message, shared: SharedFindings, maps: ActiveMaps, walls: Sequence[str] = ()
    ) -> None:
        self._setup = setup
        self._shared = shared
        self._maps = maps
        self._walls = walls
        self._waking, self._woken = socket.socketpair()
        self._waking.setblocking(False)
        self._woken.setblocking(False)
        self._stopped: Outcome | None = None
        self._within: ChildSupervisor | None = None
        self._child: ChildProcess | None = None
        self._loads: WarmPool | None = None
        self._pump = Pump()
        self._held: tuple[int, MemoryBaseline] | None = None
        self._run: _ActiveRun | None = None

    def start(self) -> None:
        """Start the child where there is none, and have it load scripts that changed.

        Raises
        ------
        ChildEnded
            If it ended.
        """
        try:
            if not self.warm:
                self.close()
                self._start()
            self.loads.look()
            self.turn(0)
        except ChildEnded:
            self.close()
            raise

    def _start(self) -> None:
        self._child = ChildProcess(self._walls)
        self._pump = Pump()
        self._pump.watch(self._woken, self._look_up)
        self._loads = WarmPool(self._child, self._pump, self._setup, self._shared)
        try:
            self._child.channel.send(self._setup, BEGIN_SECONDS)
        except ChannelClosed as error:
            raise ChildEnded from error

    @property
    def warm(self) -> bool:
        """Whether there is a child."""
        return self._child is not None and not self._child.is_gone

    @property
    def loads(self) -> WarmPool:
        """The warm processes of the child.

        Raises
        ------
        ChildEnded
            If there is none.
        """
        if self._loads is None:
            raise ChildEnded
        return self._loads

    def turn(self, seconds: float) -> None:
        """Wait for what the child sends, for some seconds at most, and do what is due.

        Raises
        ------
        ChildEnded
            If it ended, or a run that is over does not end.
        """
        self._pump.turn(seconds)
        self._finish()
        self.loads.tick()

    def waited(self, condition: Callable[[], Any], seconds: float) -> Any:
        """Wait until a condition holds, for some seconds at most; its value.

        Raises
        ------
        ChildEnded
            If the child ended, or there is an order to stop.
        """
        due = time.monotonic() + seconds
        while not (value := condition()) and (left := due - time.monotonic()) > 0:
            if self._stopped:
                raise ChildEnded
            self.turn(min(left, TICK_SECONDS))
        return value

    def wait_for(self, condition: Callable[[], Any], seconds: float) -> Any:
        """The same, where taking too long means that the child is of no use any more."""
        if value := self.waited(condition, seconds):
            return value
        raise ChildEnded

    def close(self) -> None:
        """End the child and all its descendants."""
        if self._loads:
            self._loads.close()
        if self._child:
            self._child.end()
            self._pump.close()
        self._child = self._loads = self._held = None
        if self._run:
            self._run.segments.remove()
            self._run = None

    def dispose(self) -> None:
        """End the child for good; nothing else may be called then but `stop`."""
        self.close()
        self._waking.close()
        self._woken.close()

    def clear(self) -> None:
        """Forget an order to stop that came too late."""
        self._stopped = None

    def stop(self, outcome: Outcome) -> None:
        """End the present run from another thread, with this outcome; wait for no child."""
        self._stopped = outcome
        if within := self._within:
            within.stop(outcome)
        self._wake()

    def _wake(self) -> None:
        """Have the thread that owns this look up."""
        with suppress(OSError):  # it is full, so the thread is about to; or all is over
            self._waking.send(b"!")

    def _look_up(self) -> None:
        self._woken.recv(4096)

    def run(self, spec: Message, timeout: float, watcher: Watcher) -> Outcome:
        """Run a job and tell how it ended; nothing that the child does raises.

        Parameters
        ----------
        spec : dict
            See `jobserver.child.attempt.Attempt`.
        timeout : float
            Seconds after which the run is ended; 0 for no limit.
        watcher : Watcher
            Is told what happens meanwhile.
        """
        if holds_code(spec["script"]) and (walls := sealed(self._setup["home"], spec)):
            return self._run_within(walls, spec, timeout, watcher)
        return self._attempt(spec, timeout, watcher)

    def _run_within(
        self, walls: Sequence[str], spec: Message, timeout: float, watcher: Watcher
    ) -> Outcome:
        """Have a run of code get a child of its own, within walls."""
        apart = ChildSupervisor(self._setup, SharedFindings(), self._maps, walls)
        self._within = apart
        try:
            outcome = self._stopped or apart._attempt(spec, timeout, watcher)
        finally:
            self._within = None
            apart.dispose()
        return UNSTARTED if outcome is NOT_BEGUN else outcome

    def _attempt(self, spec: Message, timeout: float, watcher: Watcher) -> Outcome:
        try:
            run = self._begin(spec)
        except ChildEnded:
            self.close()
            return self._stopped or NOT_BEGUN
        with self._maps.shared(self._wake) as share:
            held = self._held[1] if self._held else MemoryBaseline(0, 0, 0)
            limits = Limits(timeout, spec["memory"], held, run.segments)
            try:
                outcome = self._watch(run, _Talk(spec, watcher, share, self._maps), limits)
            except ChildEnded as ended:
                killed = Outcome(State.FAILED, error="Killed", message=ended.describe())
                outcome = self._stopped or killed
                if not run.process.has_ended:  # what it was forked from is gone
                    self.close()
            except (BSONError, KeyError, TypeError, ValueError):  # of what the child says
                self._cut_off(run)
                outcome = self._stopped or DISTURBED
        run.process.close()
        return replace(outcome, provenance=run.provenance)

    def _begin(self, spec: Message) -> _ActiveRun:
        """Have a fork begin a run; one that died before it began is replaced."""
        for is_last in (False, True):
            try:
                self.start()
                return self._begun(spec)
            except ChildEnded:
                self.close()
                if is_last or self._stopped:
                    raise
        raise ChildEnded

    def _begun(self, spec: Message) -> _ActiveRun:
        names = function_names(spec["script"])
        seconds = READY_SECONDS + self._setup["import_timeout"]
        warm, process = self.wait_for(partial(self._fork, names), seconds)
        if spec["memory"] and self._child and (self._held is None or self._held[0] != warm.pid):
            self._held = warm.pid, MemoryBaseline.measure(self._tree(warm))
        warm.is_busy = True
        run = self._run = _ActiveRun(warm, process)
        process.send({"op": "run", **spec})
        self.wait_for(lambda: process.messages or process.has_ended, BEGIN_SECONDS)
        if not process.messages:
            raise ChildEnded(process.status)
        return run

    def _fork(self, names: Sequence[str]) -> tuple[WarmProcess, RunProcess] | None:
        """A fork that waits for a run of some scripts, once nothing is left of the run before."""
        warm = None if self._run else self.loads.pick(names)
        process = warm.run if warm else None
        return (warm, process) if warm and process and not process.has_ended else None

    def _watch(self, run: _ActiveRun, talk: _Talk, limits: Limits) -> Outcome:
        """Follow a run to its end."""
        while True:
            talk.take_output(run.process)
            for message in run.process.take_messages():
                if message.get("op") == "done":
                    return self._done(run, talk, message)
                talk.hear(message, run)
            if run.process.has_ended:
                talk.take_output(run.process)
                raise ChildEnded(run.process.status)
            if run.process.is_disturbed:
                raise ValueError("what the run said is no message")
            if run.process.silent_for > END_SECONDS:  # it ended, and nobody says so
                raise ChildEnded(CUT_OFF)
            talk.look(run.process)
            if outcome := self._stopped or limits.exceeded(partial(self._tree, run.warm)):
                self._cut_off(run)
                talk.take_output(run.process)
                return outcome
            self.turn(TICK_SECONDS)

    def _tree(self, warm: WarmProcess) -> list[psutil.Process]:
        """The warm process and all below it; within walls it has another number there."""
        if self._walls and self._child:
            return self._child.tree()
        return tree_of(warm.pid)

    def _done(self, run: _ActiveRun, talk: _Talk, message: Any) -> Outcome:
        """A run said how it ended; what is left of it has to go."""
        run.process.take_rest()
        talk.take_output(run.process)
        try:
            self._order_end(run, END_SECONDS)
        except ChildEnded:  # what it said holds all the same
            self.close()
        return child_messages.ended(message, talk.folder)

    def _cut_off(self, run: _ActiveRun) -> None:
        """End a run, and wait until it is gone; the whole child, where that does not help."""
        try:
            self._order_end(run, CUT_SECONDS)
            while self._run:
                self.turn(CUT_SECONDS / 10)
        except ChildEnded:
            self.close()

    def _order_end(self, run: _ActiveRun, seconds: float) -> None:
        if not self._setup["can_fork"]:
            raise ChildEnded  # the child itself is the run
        run.due = time.monotonic() + seconds
        run.warm.send({"op": "end", "pid": run.process.pid})

    def _finish(self) -> None:
        """Take note of a run that is gone, with all that it started."""
        run = self._run
        if run and run.process.has_ended:
            self._run, run.warm.is_busy = None, False
            run.segments.remove()
        elif run and time.monotonic() > run.due:
            raise ChildEnded


class _ActiveRun:
    """A run and what it goes on in.

    Attributes
    ----------
    due : float
        When it has to be gone, by the monotonic clock.
    provenance : dict or None
        What it said it depends on.
    """

    def __init__(self, warm: WarmProcess, process: RunProcess) -> None:
        self.warm = warm
        self.process = process
        self.segments = Segments()
        self.due = float("inf")
        self.provenance: Document | None = None


class _Talk:
    """What a run tells, on its way to the watcher and to the slots that are lent to it."""

    def __init__(self, spec: Message, watcher: Watcher, share: SlotShare, maps: ActiveMaps) -> None:
        self.folder: str = spec["folder"]
        self._watcher = watcher
        self._share = share
        self._maps = maps
        self._granted = share.granted

    def take_output(self, process: RunProcess) -> None:
        """Pass on what was printed."""
        if printed := process.take_output():
            self._watcher.output(printed)

    def hear(self, message: Any, run: _ActiveRun) -> None:
        """Take a message that does not end the run."""
        match message.get("op"):
            case "provenance":
                run.provenance = child_messages.provenance(message)
            case "progress":
                self._watcher.progress(*child_messages.progress(message))
            case "step":
                self._watcher.step(message)
            case "workers":
                self._watcher.part(0.0, 0.0)  # bars of items say nothing of the whole
                self._maps.report(self._share, message)

    def look(self, process: RunProcess) -> None:
        """Do what is due, and tell the run when it has more or fewer slots."""
        self._watcher.tick()
        if self._share.owes:  # what it says is not trusted
            self._share.bound(len(tree_of(process.pid)) - 1)
        granted = self._share.granted
        if granted != self._granted:
            with suppress(ChildEnded):  # it is over, and what it said last is not read yet
                process.send({"op": "workers", "count": granted}, seconds=0)
                self._granted = granted
