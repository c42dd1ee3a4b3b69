"""The server's side of one child: start it, talk to it, end it, and say how it ended."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import bson

from jobserver.execution import memory_exceeded
from jobserver.executors.child_process import ChildEnded, ChildProcess
from jobserver.models.job import State
from jobserver.models.outcome import Outcome
from jobserver.protocol import Message
from jobserver.scripts.loading import Stamps
from jobserver.scripts.loading import stamps as script_stamps
from jobserver.settings import Settings, public_values

READY_SECONDS = 60.0
#: Seconds between two looks at the memory of a running child.
LOOK_SECONDS = 0.5


def setup_message(settings: Settings) -> Message:
    """What a child needs to load its scripts, and no secret among it."""
    return {
        "home": str(settings.home),
        "scripts": str(settings.scripts_path),
        "modules": list(settings.SCRIPT_MODULES),
        "config": public_values(settings),
    }


class Watcher(Protocol):
    """What a run tells while it goes on."""

    def output(self, text: bytes) -> None:
        """Take what the script printed."""

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the script is."""

    def tick(self) -> None:
        """Do what is due; called a few times a second."""


class Shepherd:
    """Owns one child process, and replaces it when it is gone.

    Not thread-safe but for `stop` and `close`: the thread that owns it makes all other calls.

    Parameters
    ----------
    setup : dict
        What the child needs to load its scripts; see `setup_message`.
    """

    def __init__(self, setup: Message) -> None:
        self._setup = setup
        self._wake_read, self._wake_write = os.pipe()
        self._stopped: Outcome | None = None
        self._child: ChildProcess | None = None
        self._stamps: Stamps = {}
        self._warm_size = 0
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
            If it ends, or says nothing within `READY_SECONDS`.
        """
        stamps = script_stamps(Path(self._setup["scripts"]))
        if stamps != self._stamps:
            self.close()
        if self._child is None:
            self._child = ChildProcess(self._wake_read)
            self._stamps = stamps
            self.runs = 0
            try:
                self._child.send(self._setup)
                self.scripts = self._answer("ready", READY_SECONDS)
                self._warm_size = self._child.memory()
            except ChildEnded:
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
            See `jobserver.attempt.Attempt`; ``folder`` is added here and removed afterwards.
        timeout : float
            Seconds after which the run is ended; 0 for no limit.
        watcher : Watcher
            Is told what happens meanwhile.
        """
        folder = tempfile.mkdtemp(prefix="jobserver-run-")
        try:
            self.start()
            self._alive.send({"op": "run", "folder": folder, **spec})
            limits = Limits(timeout, spec["memory"], self._warm_size)
            return self._watch(limits, watcher)
        except ChildEnded as ended:
            self.close()
            return Outcome(State.FAILED, error="Killed", message=ended.describe())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Forget an order to stop that came too late."""
        self._stopped = None

    def stop(self, outcome: Outcome) -> None:
        """End the present run from another thread, with this outcome."""
        self._stopped = outcome
        os.write(self._wake_write, b"!")

    def close(self) -> None:
        """End the child and all its descendants."""
        child, self._child = self._child, None
        if child:
            child.end()

    @property
    def pid(self) -> int | None:
        """Process number of the guard above the child."""
        return self._child.process.pid if self._child else None

    @property
    def _alive(self) -> ChildProcess:
        if self._child is None:
            raise ChildEnded(None)
        return self._child

    def _watch(self, limits: Limits, watcher: Watcher) -> Outcome:
        for kind, content in self._alive.events():
            if kind == "message" and content.get("op") == "done":
                return self._done(content, watcher)
            if kind == "message" and content.get("op") == "progress":
                watcher.progress(*_progress(content))
            elif kind == "output":
                watcher.output(content)
            watcher.tick()
            if outcome := self._stopped or limits.exceeded(self._alive):
                watcher.output(self._alive.rest_of_output())
                self.close()
                return outcome
        raise ChildEnded(None)

    def _done(self, message: Mapping[str, Any], watcher: Watcher) -> Outcome:
        watcher.output(self._alive.rest_of_output())
        self.runs += 1
        if message.get("tainted"):
            self.close()
        return ended(message)

    def _answer(self, op: str, seconds: float) -> Message:
        deadline = time.monotonic() + seconds
        for kind, content in self._alive.events():
            if kind == "message" and content.get("op") == op:
                return bson.decode(content.raw)
            if time.monotonic() > deadline:
                break
        raise ChildEnded(None)


class Limits:
    """Limits of a run that the shepherd watches, beside those that the child sets for itself.

    Parameters
    ----------
    timeout : float
        Seconds that it may take; 0 for no limit.
    memory : int
        Bytes that it may take; 0 for no limit.
    warm_size : int
        Bytes that the child held before.
    """

    def __init__(self, timeout: float, memory: int, warm_size: int) -> None:
        self._timeout = timeout
        self._memory = memory
        self._warm_size = warm_size
        self._began = self._looked = time.monotonic()

    def exceeded(self, child: ChildProcess) -> Outcome | None:
        """How the run has to end, if it has to."""
        now = time.monotonic()
        if self._timeout and now - self._began > self._timeout:
            return timed_out(self._timeout)
        if self._memory and now - self._looked > LOOK_SECONDS:
            self._looked = now
            if child.memory() > self._memory + self._warm_size:
                message = memory_exceeded(self._memory)
                return Outcome(State.FAILED, error="MemoryError", message=message)
        return None


def ended(message: Mapping[str, Any]) -> Outcome:
    """The outcome that the last message of an attempt tells, whatever the child put there."""
    if message.get("state") == State.FINISHED:
        return Outcome(State.FINISHED, message.get("result"))
    error, text = str(message.get("error")), str(message.get("message"))
    return Outcome(State.FAILED, error=error, message=text)


def timed_out(timeout: float) -> Outcome:
    """How a run ends that took longer than it may."""
    message = f"timeout of {timeout:g} s exceeded"
    return Outcome(State.FAILED, error="Timeout", message=message)


def _progress(message: Mapping[str, Any]) -> tuple[float, str | None]:
    """Fraction and text of a report, whatever the child put there."""
    fraction, text = message.get("fraction"), message.get("message")
    number = float(fraction) if isinstance(fraction, int | float) else 0.0
    return number, None if text is None else str(text)
