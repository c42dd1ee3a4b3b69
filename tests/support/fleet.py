"""Several Jobserver processes on one home, to be killed and started again."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

from jobserver.home.settings import PREFIX
from jobserver.home.template import make_home
from tests.support.server import until

ROOT = Path(__file__).parents[2]
SIGNING = Path(__file__).parent / "scripts" / "signing.py"
F = TypeVar("F", bound="Fleet")
PAIR = ("server", "worker")
START_SECONDS = 60.0
#: Processes have to be gone that many seconds after what they belong to.
GONE_SECONDS = 3.0


class Fleet:
    """A server and a worker, with the children and the database below them.

    Attributes
    ----------
    home : Path
        Their home, with the scripts of `tests.support.scripts.signing`.
    port : int
        Where the server listens, whichever process it is.
    members : dict
        The processes by name: ``server`` and ``worker``.
    """

    def __init__(self, home: Path, names: tuple[str, ...], **settings: object) -> None:
        self.home = home
        make_signing_home(home)
        self.port = free_port()
        self.members: dict[str, subprocess.Popen[bytes]] = {}
        self._mark = f"/nowhere/{secrets.token_hex(8)}"
        self.names = names
        self._settings = {f"{PREFIX}{name}": str(value) for name, value in settings.items()}
        self._strangers: set[psutil.Process] = set()

    def start(self, *names: str) -> None:
        """Start those members that do not run, or some that are named."""
        for name in names or self.names:
            member = self.members.get(name)
            if member is None or member.poll() is not None:
                self.members[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        environ = {key: text for key, text in os.environ.items() if not key.startswith(PREFIX)}
        # Everything that they start inherits the path, and is recognized by it.
        root = self.root_of(name)
        paths = os.pathsep.join((str(root), self._mark))
        home = self.home_of(name)
        environ |= {"TMPDIR": str(home / "tmp"), "PYTHONPATH": paths}
        environ |= self.environ(name)
        with (home / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [*self.within(name), sys.executable, "-m", *self.command(name)],
                stdout=log,
                stderr=log,
                env=environ,
                cwd=root,
                start_new_session=True,
            )

    def environ(self, name: str) -> dict[str, str]:  # noqa: ARG002 - the same for all, here
        """Settings in the environment of a member."""
        return self._settings

    def root_of(self, name: str) -> Path:  # noqa: ARG002 - all are of this version
        """Return the checkout that a member is started from."""
        return ROOT

    def home_of(self, name: str) -> Path:  # noqa: ARG002 - all share one
        """Return the home of a member."""
        return self.home

    def within(self, name: str) -> tuple[str, ...]:  # noqa: ARG002 - all are here
        """Return what stands before the command of a member: nothing, on this host."""
        return ()

    def tend(self) -> None:
        """Start anew what ends when another member does: nothing, in this fleet."""

    def command(self, name: str) -> tuple[str, ...]:
        """The module of a member, and its options."""
        options = {"server": ("run", "--port", str(self.port)), "worker": ("worker",)}[name]
        return "jobserver", *options, "--home", str(self.home_of(name))

    def log(self, name: str) -> str:
        """What a member wrote, over all its lives."""
        return (self.home_of(name) / f"{name}.log").read_text(encoding="utf-8")

    @contextmanager
    def client(self, timeout: float = 5.0) -> Iterator[httpx.Client]:
        """A client of the server."""
        address = f"http://127.0.0.1:{self.port}"
        with httpx.Client(
            base_url=address,
            timeout=timeout,
            trust_env=False,
            verify=False,  # noqa: S501 - no TLS here; loading certificates takes long
            limits=httpx.Limits(max_connections=None),
        ) as client:
            yield client

    def is_ready(self) -> bool:
        """Whether the server answers and its database does."""
        with self.client(timeout=1.0) as client, suppress(httpx.HTTPError):
            return client.get("/job/none").status_code == 404
        return False

    def wait_ready(self) -> None:
        """Start who does not run, until the server answers."""

        def ready() -> bool:
            self.start()
            return self.is_ready()

        until(ready, START_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """Every process of the fleet, wherever it went."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        if process in self._strangers:
            return False
        ours = self._is_marked(process)
        if not ours:
            self._strangers.add(process)  # who is not born as one of ours never becomes one
        return ours

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            own = {member.pid for member in self.members.values()}  # they hide their environment
            ours = process.pid in own or self._mark in process.environ().get("PYTHONPATH", "")
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def children(self) -> list[psutil.Process]:
        """The processes that run scripts, and the guards above them."""
        return [process for process in self.processes() if _is("jobserver.child", process)]

    def database(self) -> list[psutil.Process]:
        """The process of the embedded database."""
        return [process for process in self.processes() if _is("--dbpath", process)]

    def orphans(self) -> list[psutil.Process]:
        """Processes without a living member above them."""
        alive = {member.pid for member in self.members.values() if member.poll() is None}
        return [process for process in self.processes() if not alive & _line(process)]

    def kill(self, *processes: psutil.Process | subprocess.Popen[bytes]) -> None:
        """End processes by SIGKILL."""
        for process in processes:
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        for member in self.members.values():
            member.poll()

    def kill_all(self) -> None:
        """End every process at once."""
        self.kill(*self.processes())
        for member in self.members.values():
            member.wait()

    def stop(self, *names: str) -> None:
        """End members in good order: all, or some that are named."""
        ending = {name: self.members.pop(name) for name in names or tuple(self.members)}
        for member in ending.values():
            until(partial(_heeds, member, signal.SIGTERM), START_SECONDS)  # it may have just begun
            member.send_signal(signal.SIGTERM)
        for name, member in ending.items():
            assert member.wait(START_SECONDS) == 0, self.log(name)
            assert "Traceback" not in self.log(name), self.log(name)


def _heeds(member: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, or ended."""
    if member.poll() is not None:
        return True
    status = Path(f"/proc/{member.pid}/status").read_text("ascii", errors="replace")
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


@contextmanager
def fleet(home: Path, *names: str, **settings: object) -> Iterator[Fleet]:
    """A fleet that is ready; nothing of it is left afterwards."""
    with manned(Fleet(home, names or PAIR, **settings)) as members:
        yield members


@contextmanager
def manned(members: F) -> Iterator[F]:
    """Have a fleet get ready; nothing of it is left afterwards."""
    try:
        members.wait_ready()
        yield members
    finally:
        members.kill_all()
        until(lambda: not members.processes(), GONE_SECONDS)


def make_signing_home(home: Path) -> None:
    """Make a home with the scripts of `tests.support.scripts.signing`."""
    make_home(home)
    shutil.copy(SIGNING, home / "scripts")
    (home / "tmp").mkdir()


def _is(module: str, process: psutil.Process) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False


def _line(process: psutil.Process) -> set[int]:
    """Numbers of a process and all those above it."""
    with suppress(psutil.Error):
        return {process.pid, *(above.pid for above in process.parents())}
    return set()


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
