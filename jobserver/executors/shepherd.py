"""The server's side of one child: start it, talk to it, end it, and say how it ended."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import bson
from bson.errors import BSONError

from jobserver.database import Document
from jobserver.executors.board import Board
from jobserver.executors.child_process import ChildEnded, ChildProcess
from jobserver.executors.limits import Limits
from jobserver.executors.parties import Lead
from jobserver.executors.party import Party, Watcher, carried_out
from jobserver.executors.sandbox import sealed
from jobserver.executors.told import ended, provenance
from jobserver.models.expression import holds_code
from jobserver.models.job import State
from jobserver.models.outcome import DISTURBED, Outcome
from jobserver.protocol import Message
from jobserver.scripts.loading import Stamps
from jobserver.scripts.loading import stamps as script_stamps

log = logging.getLogger(__name__)

READY_SECONDS = 60.0
#: Seconds that a child may take to begin a run.
BEGIN_SECONDS = 10.0


class Shepherd:
    """Owns one child process, and replaces it when it is gone.

    Not thread-safe but for `stop` and `close`: the thread that owns it makes all other calls.

    Parameters
    ----------
    setup : dict
        What the child needs to load its scripts; see `jobserver.executors.setup`.
    board : Board, optional
        Where other slots find the maps that it leads.
    """

    def __init__(self, setup: Message, board: Board | None = None) -> None:
        self._setup = setup
        self._board = board
        self._wake_read, self._wake_write = os.pipe()
        self._stopped: Outcome | None = None
        self._walls: list[str] = []
        self._provenance: Document | None = None
        self._began: float | None = None
        self._child: ChildProcess | None = None
        self._stamps: Stamps = {}
        self._warm_size = self._held = 0
        self.runs = 0

    def start(self) -> Message:
        """Start the child where there is none, or where its scripts changed since.

        Returns
        -------
        dict
            What the child said of its scripts.

        Raises
        ------
        ChildEnded
            If it ends, says nothing within `READY_SECONDS`, or has to stop.
        """
        stamps = script_stamps(Path(self._setup["scripts"]))
        if stamps != self._stamps or not self.warm:
            self.close()
        if self._child is None:
            self._child = ChildProcess(self._wake_read, self._walls)
            self._stamps = stamps
            self.runs = 0
            wrote: list[bytes] = []
            try:
                self._child.send(self._setup)
                self.scripts = self._answer("ready", READY_SECONDS, wrote.append)
                self._warm_size = self._held = self._child.memory()
            except ChildEnded:
                text = b"".join(wrote)[-4000:].decode("utf-8", "replace")
                log.warning("a child did not start; it wrote: %s", text)
                self.close()
                raise
        return self.scripts

    def ask(self, message: Message, seconds: float) -> Message:
        """Send a message and give its answer; the child is ended if there is none in time.

        Raises
        ------
        ChildEnded
            If it ends or stays silent.
        """
        self.start()
        try:
            self._alive.send(message)
            return self._answer("checked", seconds)
        except ChildEnded:
            self.close()
            raise

    def run(self, spec: Message, timeout: float, watcher: Watcher) -> Outcome:
        """Run a job and tell how it ended; nothing that the child does raises.

        Parameters
        ----------
        spec : dict
            See `jobserver.attempt.Attempt`.
        timeout : float
            Seconds after which the run is ended; 0 for no limit.
        watcher : Watcher
            Is told what happens meanwhile.
        """
        self._provenance = None
        with self._apart(spec) if holds_code(spec["script"]) else nullcontext():
            outcome = self._run(spec, timeout, watcher)
        return replace(outcome, provenance=self._provenance)

    @contextmanager
    def _apart(self, spec: Message) -> Iterator[None]:
        """Have a run of code get a child of its own, within walls where there are any."""
        self._walls = sealed(self._setup["home"], spec)
        if self.runs or self._walls:
            self.close()
        try:
            yield
        finally:
            self._walls = []
            self.close()

    def _run(self, spec: Message, timeout: float, watcher: Watcher) -> Outcome:
        with closing(Lead(self._board, spec, watcher, self._wake)) as lead:
            self._began = None
            return carried_out(lambda: self.attempt(spec, timeout, lead), lead)

    def attempt(self, spec: Message, timeout: float, party: Party) -> Outcome:
        """Have the child do something, and tell how it ended; see `run`."""
        try:
            self._begin({"op": "run", **spec}, party)
            self._began = self._began or time.monotonic()
            limits = Limits(timeout, spec["memory"], self._held, self._began)
            outcome = self._watch(spec["folder"], limits, party)
            self._replace_if_swollen(spec["memory"])
            return outcome
        except ChildEnded as ended:
            outcome = Outcome(State.FAILED, error="Killed", message=ended.describe())
        except (BSONError, KeyError, TypeError, ValueError):  # of what the child says
            outcome = DISTURBED
        self.close()
        return self._stopped or outcome

    def _begin(self, order: Message, party: Party) -> None:
        """Have the child begin a run; one that died before it began is replaced."""
        for last in (False, True):
            try:
                self.start()
                self._alive.send(order)
                self._answer("begun", BEGIN_SECONDS, party.output)
            except ChildEnded:
                self.close()
                if last or self._stopped:
                    raise
            else:
                return

    def clear(self) -> None:
        """Forget an order to stop that came too late."""
        self._stopped = None

    def stop(self, outcome: Outcome) -> None:
        """End the present run from another thread, with this outcome; wait for no child."""
        self._stopped = outcome
        self._wake()

    def _wake(self) -> None:
        """Have the thread that owns this look up."""
        os.write(self._wake_write, b"!")

    def close(self) -> None:
        """End the child and all its descendants."""
        child, self._child = self._child, None
        if child:
            child.end()

    @property
    def warm(self) -> bool:
        """Whether there is a child."""
        return self._child is not None and not self._child.is_gone

    @property
    def _alive(self) -> ChildProcess:
        if self._child is None:
            raise ChildEnded(None)
        return self._child

    def _watch(self, folder: str, limits: Limits, party: Party) -> Outcome:
        for kind, content in self._alive.events():
            if kind == "message" and content.get("op") == "done":
                return self._done(content, folder, party)
            if kind == "message" and content.get("op") == "provenance":
                self._provenance = provenance(content)
            elif kind == "message":
                party.hear(content, self._alive.answer)
            elif kind == "output":
                party.output(content)
            ordered = party.look(self._alive.answer)
            if outcome := self._stopped or ordered or limits.exceeded(self._alive):
                party.output(self._alive.rest_of_output())
                self.close()
                return outcome
        raise ChildEnded(None)

    def _done(self, message: Mapping[str, Any], folder: str, party: Party) -> Outcome:
        party.output(self._alive.rest_of_output())
        self.runs += 1
        self._held += int(message["grown"])
        outcome = ended(message, folder)
        if message.get("tainted") or outcome is DISTURBED:
            self.close()
        return outcome

    def _replace_if_swollen(self, limit: int) -> None:
        """End a child that kept much of what a run took: the next one must not pay for it."""
        if limit and self._held - self._warm_size > limit / 4:
            self.close()

    def _answer(
        self, op: str, seconds: float, take: Callable[[bytes], None] = lambda _: None
    ) -> Message:
        deadline = time.monotonic() + seconds
        for kind, content in self._alive.events():
            if kind == "output":
                take(content)
            if kind == "message" and content.get("op") == op:
                return bson.decode(content.raw)
            if self._stopped or time.monotonic() > deadline:
                break
        raise ChildEnded(None)
