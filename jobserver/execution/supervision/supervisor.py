"""The server's side of one child: has it load scripts and run jobs, and reports how these end."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import psutil
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from jobserver.execution.maps import ActiveMaps, SlotShare
from jobserver.execution.supervision.active_run import (
    ActiveRun,
    Limits,
    MemoryBaseline,
    Recorder,
)
from jobserver.execution.supervision.child_messages import parse_outcome
from jobserver.execution.supervision.child_process import ChildEnded, ChildProcess, Pump, tree_of
from jobserver.execution.supervision.guards import FreshGuard, Preloader
from jobserver.execution.supervision.sandbox import wrapper
from jobserver.execution.supervision.warm_pool import SharedFindings, WarmPool
from jobserver.execution.supervision.warm_process import RunProcess, WarmProcess
from jobserver.jobs.job import State
from jobserver.jobs.outcome import CHANNEL_BROKEN, NOT_BEGUN, NOT_STARTED, Outcome
from jobserver.processes.forms import function_names, holds_code
from jobserver.storage.database import Document
from jobserver.system.process_tree import CUT_OFF
from jobserver.system.protocol import ChannelClosed, RunSpec, Setup
from jobserver.system.run_user import RunUser

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds that a base process may take to start, and a run to begin.
READY_SECONDS = 60.0
_BEGIN_SECONDS = 10.0
#: Longest wait before due work is looked at again, in seconds.
TICK_SECONDS = 0.25
#: Seconds that a run may take to be gone after it reported its end, and after it was cut off.
_END_SECONDS = 2.0
_CUT_SECONDS = 0.5


class ChildSupervisor:
    """Owns one child, and replaces it when it is gone.

    Not thread-safe, except for `stop`: the thread that owns it makes all other calls.

    Parameters
    ----------
    setup : Setup
        What the child needs to load its scripts.
    shared : SharedFindings
        What the server's other children found out about scripts.
    maps : ActiveMaps
        Where slots without a job find the maps that run here.
    preloader : Preloader
        What children are forked from, where a fork is safe.
    command : sequence of str
        Command to start the child with instead; see `jobserver.execution.supervision.sandbox`.
    """

    def __init__(
        self,
        setup: Setup,
        shared: SharedFindings,
        maps: ActiveMaps,
        preloader: Preloader,
        command: Sequence[str] = (),
    ) -> None:
        self._setup = setup
        self._shared = shared
        self._preloader = preloader
        self._maps = maps
        self._command = command
        self._user = RunUser.named(setup["user"]) if setup["user"] else None
        self._waking, self._woken = socket.socketpair()
        self._waking.setblocking(False)
        self._woken.setblocking(False)
        self._stopped: Outcome | None = None
        self._isolated: ChildSupervisor | None = None
        self._child: ChildProcess | None = None
        self._pool: WarmPool | None = None
        self._pump = Pump()
        self._baseline: tuple[int, MemoryBaseline] | None = None
        self._run: ActiveRun | None = None

    def start(self) -> None:
        """Start the child if there is none, and have it load scripts that changed.

        Raises
        ------
        ChildEnded
            If it ended.
        """
        try:
            if not self.has_child:
                self.close()
                self._start()
            self.pool.look()
            self.turn(0)
        except ChildEnded:
            self.close()
            raise

    def _start(self) -> None:
        fresh = partial(FreshGuard, wrapper=self._command, user=self._user)
        is_forked = self._setup["can_fork"] and not self._command
        self._child = ChildProcess(self._preloader.fork if is_forked else fresh)
        self._pump.close()  # a selector is in a cycle: its file would stay open for long
        self._pump = Pump()
        self._pump.watch(self._woken, self._on_wake)
        self._pool = WarmPool(self._child, self._pump, self._setup, self._shared)
        try:
            self._child.channel.send(self._setup, _BEGIN_SECONDS)
        except ChannelClosed as error:
            raise ChildEnded from error

    @property
    def has_child(self) -> bool:
        """Whether there is a child."""
        return self._child is not None and not self._child.is_gone

    @property
    def pool(self) -> WarmPool:
        """The warm processes of the child.

        Raises
        ------
        ChildEnded
            If there is no child.
        """
        if self._pool is None:
            raise ChildEnded
        return self._pool

    @property
    def script_versions(self) -> Mapping[str, str | None] | None:
        """Names and versions of all scripts; None while some are being loaded."""
        return self._pool.versions if self._pool else None

    def missing(self, script: Document) -> list[str]:
        """Return the names in a job's script that are not here, once all are loaded."""
        known = self.script_versions
        return [] if known is None else [n for n in function_names(script) if n not in known]

    def turn(self, seconds: float) -> None:
        """Wait for messages for so many seconds at most, and do what is due.

        Raises
        ------
        ChildEnded
            If the child ended, or a run that is over does not end.
        """
        self._pump.turn(seconds)
        self._clear_up()
        self.pool.tick()

    def wait(self, condition: Callable[[], T], seconds: float) -> T:
        """Wait for a condition, for so many seconds at most; return its value.

        Raises
        ------
        ChildEnded
            If the child ended, or was ordered to stop.
        """
        due = time.monotonic() + seconds
        while not (value := condition()) and (left := due - time.monotonic()) > 0:
            if self._stopped:
                raise ChildEnded
            self.turn(min(left, TICK_SECONDS))
        return value

    def require(self, condition: Callable[[], T | None], seconds: float) -> T:
        """Wait for a condition, and raise `ChildEnded` if it does not hold in time."""
        if value := self.wait(condition, seconds):
            return value
        raise ChildEnded

    def close(self) -> None:
        """End the child and all its descendants."""
        if self._pool:
            self._pool.close()
        if self._child:
            self._child.end()
            self._pump.close()
        self._child = self._pool = self._baseline = None
        if self._run:
            self._run.segments.remove()
            self._run = None

    def dispose(self) -> None:
        """End the child for good; only `stop` may be called afterwards."""
        self.close()
        self._pump.close()
        self._waking.close()
        self._woken.close()

    def clear(self) -> None:
        """Forget an order to stop that came too late."""
        self._stopped = None

    def stop(self, outcome: Outcome) -> None:
        """End the present run with this outcome; called by other threads, returns at once."""
        self._stopped = outcome
        if isolated := self._isolated:
            isolated.stop(outcome)
        self._wake()

    def _wake(self) -> None:
        """Wake the thread that owns this."""
        with suppress(OSError):  # it is full, so the thread is about to wake; or closed
            self._waking.send(b"!")

    def _on_wake(self) -> None:
        self._woken.recv(4096)

    def run(self, spec: RunSpec, timeout: float, recorder: Recorder) -> Outcome:
        """Run a job and return how it ended, whatever the child does.

        Parameters
        ----------
        timeout : float
            Seconds after which the run is ended; 0 for no limit.
        recorder : Recorder
            Takes what the run reports meanwhile.

        Raises
        ------
        OSError
            If the system cannot start another process.
        """
        if holds_code(spec["script"]) and (command := wrapper(self._setup, spec)):
            return self._run_isolated(command, spec, timeout, recorder)
        return self._attempt(spec, timeout, recorder)

    def _run_isolated(
        self, command: Sequence[str], spec: RunSpec, timeout: float, recorder: Recorder
    ) -> Outcome:
        """Run code in a child of its own, isolated from the system."""
        isolated = ChildSupervisor(
            self._setup, SharedFindings(), self._maps, self._preloader, command
        )
        self._isolated = isolated
        try:
            outcome = self._stopped or isolated._attempt(spec, timeout, recorder)
        finally:
            self._isolated = None
            isolated.dispose()
        return NOT_STARTED if outcome is NOT_BEGUN else outcome

    def _attempt(self, spec: RunSpec, timeout: float, recorder: Recorder) -> Outcome:
        with self._maps.shared(self._wake) as share:
            try:
                run = self._begin(spec, recorder, share)
            except ChildEnded:
                self.close()
                return self._stopped or NOT_BEGUN
            before = self._baseline[1] if self._baseline else MemoryBaseline(0, 0, 0)
            limits = Limits(timeout, spec["memory"], before, run.segments, share)
            outcome = self._outcome(run, limits, spec["folder"])
        run.process.close()
        return replace(outcome, provenance=run.provenance)

    def _begin(self, spec: RunSpec, recorder: Recorder, share: SlotShare) -> ActiveRun:
        """Have a fork begin a run; replace one that died before it began."""
        for is_last in (False, True):
            try:
                self.start()
                return self._begin_in_fork(spec, recorder, share)
            except ChildEnded:
                self.close()
                if is_last or self._stopped:
                    raise
        raise ChildEnded

    def _begin_in_fork(self, spec: RunSpec, recorder: Recorder, share: SlotShare) -> ActiveRun:
        names = function_names(spec["script"])
        seconds = READY_SECONDS + self._setup["import_timeout"]
        warm, process = self.require(partial(self._waiting_fork, names), seconds)
        is_measured = self._baseline is not None and self._baseline[0] == warm.pid
        if spec["memory"] and self._child and not is_measured:
            self._baseline = warm.pid, MemoryBaseline.measure(self._tree(warm))
        warm.is_busy = True
        run = self._run = ActiveRun(warm, process, recorder, share, self._maps, self._user)
        process.send({"op": "run", **spec})
        self.require(lambda: process.messages or process.has_ended, _BEGIN_SECONDS)
        if not process.messages:
            raise ChildEnded(process.status)
        return run

    def _waiting_fork(self, names: Sequence[str]) -> tuple[WarmProcess, RunProcess] | None:
        """Return a fork that waits for some scripts, once nothing is left of the run before."""
        warm = None if self._run else self.pool.pick(names)
        process = warm.run if warm else None
        return (warm, process) if warm and process and not process.has_ended else None

    def _outcome(self, run: ActiveRun, limits: Limits, folder: str) -> Outcome:
        """Follow a run, and return how it ended."""
        try:
            return self._follow(run, limits, folder)
        except ChildEnded as ended:
            killed = Outcome(State.FAILED, error="Killed", message=str(ended))
            if not run.process.has_ended:  # the process it was forked from is gone
                self.close()
            return self._stopped or killed
        except (BSONError, KeyError, TypeError, ValueError):  # in what the child sent
            self._cut_off(run)
            return self._stopped or CHANNEL_BROKEN

    def _follow(self, run: ActiveRun, limits: Limits, folder: str) -> Outcome:
        while True:
            run.pass_output()
            for message in run.process.take_messages():
                if message.get("op") == "done":
                    return self._done(run, message, folder)
                run.handle(message)
            self._check_process(run)
            run.tick()
            if outcome := self._stopped or limits.exceeded(partial(self._tree, run.warm)):
                self._cut_off(run)
                run.pass_output()
                return outcome
            self.turn(TICK_SECONDS)

    def _check_process(self, run: ActiveRun) -> None:
        """Raise `ChildEnded` or `ValueError` if a run's process is gone or broke its channel."""
        process = run.process
        if process.is_malformed:
            run.pass_output()
            raise ValueError("the run sent something that is not a message")
        if process.has_ended:
            run.pass_output()
            raise ChildEnded(process.status)
        if process.silent_for > _END_SECONDS:  # it ended, and its end is not reported
            raise ChildEnded(CUT_OFF)

    def _done(self, run: ActiveRun, message: RawBSONDocument, folder: str) -> Outcome:
        """Return the outcome that a run reported, and have its processes end."""
        run.process.read_rest()
        run.pass_output()
        try:
            self._order_end(run, _END_SECONDS)
        except ChildEnded:  # what it reported holds all the same
            self.close()
        return parse_outcome(message, folder)

    def _cut_off(self, run: ActiveRun) -> None:
        """End a run and wait until it is gone; end the whole child if that does not help."""
        try:
            self._order_end(run, _CUT_SECONDS)
            while self._run:
                self.turn(_CUT_SECONDS / 10)
        except ChildEnded:
            self.close()

    def _order_end(self, run: ActiveRun, seconds: float) -> None:
        if not self._setup["can_fork"]:
            raise ChildEnded  # the child itself is the run
        run.due = time.monotonic() + seconds
        run.warm.send({"op": "end", "pid": run.process.pid})

    def _clear_up(self) -> None:
        """Clear up after a run that is gone, with all that it started."""
        run = self._run
        if run and run.process.has_ended:
            self._run, run.warm.is_busy = None, False
            run.segments.remove()
        elif run and time.monotonic() > run.due:
            raise ChildEnded

    def _tree(self, warm: WarmProcess) -> list[psutil.Process]:
        """Return a warm process and all below it; in a sandbox its own pid is another one."""
        if self._command and self._child:
            return self._child.tree()
        return tree_of(warm.pid)
