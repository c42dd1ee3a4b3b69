"""The processes that runs are forked from: they have everything imported, and run no job.

::

    guard -> base    pandas and the shipped scripts; forks a warm process for each load of scripts
             base -> warm    the user's scripts too; forks one run after another
                     warm -> run    one attempt of a job

A warm process loads its scripts one file at a time and reports which, so that the server can end it
and try again without a file that takes too long. It must have a single thread for a fork to be
safe: a file that starts threads or processes is imported by each of its runs instead.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, cast

from jobserver.child.attempt import Attempt, script_problems
from jobserver.child.forks import ForkServer, can_fork
from jobserver.errors import Problem
from jobserver.processes.forms import function_names
from jobserver.processes.seeds import track_unseeded
from jobserver.scripts.registry import App, Registry, ScriptPermissions, ScriptSources
from jobserver.system.process_tree import (
    NO_FORK,
    children,
    end_idle_threads,
    note_open_files,
    shared_with_forks,
    threads,
)
from jobserver.system.protocol import ChannelClosed, Message, RunSpec, Setup, receive, send

if TYPE_CHECKING:
    from typing import TextIO

#: Longest that a run's process waits for its end after it reported how it ended.
_REPORTED_SECONDS = 1.0


def preload() -> None:
    """Import what every run has."""
    import numpy as np  # noqa: F401
    import pandas as pd  # noqa: F401

    import jobserver.child.show
    import jobserver.scripts  # noqa: F401

    end_idle_threads()
    gc.freeze()


def serve(control: socket.socket, setup: Setup) -> NoReturn:
    """Serve as a base process; never return."""
    sys.dont_write_bytecode = True
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = _stream(fd)
        for each in (name, f"__{name}__"):
            setattr(sys, each, stream)
    layout = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=layout, force=True)
    forks = ForkServer(control, can_fork=setup["can_fork"])

    def handle(message: Message) -> None:
        if message["op"] == "end":
            forks.end(message["pid"])
        else:
            forks.fork(lambda channel: Warm(channel, setup, message).serve())

    send(control, {"op": "ready"})
    forks.serve(handle, lambda: None)


def _stream(fd: int) -> TextIO:
    """Open a line-buffered stream on a descriptor that will be a pipe in every run."""
    reader, writer = os.pipe()
    former = os.dup(fd)
    os.dup2(writer, fd)
    stream: TextIO = open(  # noqa: SIM115 - as long as the process
        fd, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False
    )
    os.dup2(former, fd)
    for each in (reader, writer, former):
        os.close(each)
    return stream


class Warm:
    """A warm process.

    Parameters
    ----------
    control : socket
        Channel to the server.
    setup : Setup
        What it needs to load scripts.
    order : dict
        ``skip``, modules not to load; ``apart``, those that each run loads itself; ``last``, those
        to load last.
    """

    def __init__(self, control: socket.socket, setup: Setup, order: Message) -> None:
        self._control = control
        self._setup = setup
        self._pid = os.getpid()
        self._apart: list[str] = order["apart"]
        sources = ScriptSources.from_settings(setup["scripts"], setup["modules"])
        self._is_copied = setup["runs"] and setup["can_fork"]
        skip = {*order["skip"], *(self._apart if self._is_copied else ())}
        with track_unseeded():
            self.registry = Registry.load(
                sources,
                ScriptPermissions.from_setup(setup),
                skip=skip,
                last=order["last"],
                watch=self._watch,
            )
            self.registry.run_on_init(App(setup), self._watch)

    def serve(self) -> NoReturn:
        """Report what was loaded, and fork runs or check scripts until the server is gone."""
        self.registry.warm_up()
        end_idle_threads()
        gc.collect()
        note_open_files()
        gc.freeze()
        forks = ForkServer(self._control, can_fork=self._setup["can_fork"])
        described = {} if self._setup["runs"] else self.registry.describe()
        table = {"modules": self.registry.modules(), "versions": self.registry.versions()}
        send(self._control, {"op": "ready", **table, **described})

        def fork() -> None:
            if self._setup["runs"]:
                forks.fork(self._run)

        def handle(message: Message) -> None:
            if message["op"] == "end":
                forks.end(message["pid"])
            else:
                send(self._control, self._answer(message))

        fork()
        forks.serve(handle, fork)

    @contextmanager
    def _watch(self, module: str, doing: str) -> Iterator[None]:
        """Report what is being loaded, and what that started."""
        send(self._control, {"op": "loading", "module": module, "doing": doing})
        before, mask = _activity(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
        yield
        if os.getpid() != self._pid:  # the script forked: this is the copy
            os._exit(0)
        _restore(mask)
        if self._setup["can_fork"] and not can_fork():
            os._exit(NO_FORK)
        if what := _started_since(before):
            send(self._control, {"op": "apart", "module": module, "what": what})
            if self._is_copied:
                os._exit(0)

    def _answer(self, message: Message) -> Message:
        self.registry.failed = message["failed"]
        try:
            problems = script_problems(self.registry, message["script"], message["has_data"])
        except Exception as error:  # the script's own types may raise anything
            text = f"its parameters cannot be checked: {type(error).__name__}: {error}"
            problems = [Problem("script", text)]
        return {"op": "checked", "problems": [vars(problem) for problem in problems]}

    def _run(self, channel: socket.socket) -> None:
        if self._setup["can_fork"]:
            os.setsid()
        spec = cast("RunSpec", receive(channel))
        send(channel, {"op": "begun"})
        names, pid = function_names(spec["script"]), os.getpid()
        with track_unseeded():
            registry = self.registry.completed(self._apart, names, App(self._setup))
        if os.getpid() != pid:  # a module forked: this is the copy
            os._exit(0)
        Attempt(registry, self._setup["home"], spec, channel).run()
        if self._setup["can_fork"]:
            _wait_for_the_end(channel)


def _wait_for_the_end(channel: socket.socket) -> None:
    """Wait for the server to read the output and order the end: what is left may print at it.

    Not for long: a script that broke the channel is told by the end of this process.
    """
    channel.settimeout(_REPORTED_SECONDS)
    with suppress(OSError, ChannelClosed):
        while True:
            receive(channel)


def _activity() -> tuple[int, set[int], int]:
    """Return the number of threads, the children, and how much forks would share."""
    end_idle_threads()
    return threads(), set(children()), shared_with_forks()


def _started_since(before: tuple[int, set[int], int]) -> str:
    """Return what an import started that forks cannot have for themselves."""
    now = _activity()
    if now[0] > before[0]:
        return "starts threads"
    if now[1] - before[1]:
        return "starts processes"
    return "opens pipes, sockets or shared memory" if now[2] > before[2] else ""


def _restore(mask: set[int | signal.Signals]) -> None:
    """Undo what an import did to timers, signals and streams."""
    for clock in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(clock, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for name in ("stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__"))
