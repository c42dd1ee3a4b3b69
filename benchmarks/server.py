"""A throw-away home, and real servers on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobserver.home.settings import PREFIX

START_SECONDS = 60
WORKERS = 2
#: The command line of this Jobserver.
JOBSERVER = (sys.executable, "-m", "jobserver")
#: Starts a server on the home that is named after it.
RUN = ("run", "--port", "0", "--home")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_SCRIPTS = Path(__file__).with_name("scripts.py")


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    home : Path
        Its home.
    pid : int
        Its process.
    port : int
        Where it listens on 127.0.0.1.
    workers : int
        How many slots it has.
    """

    home: Path
    pid: int
    port: int
    workers: int

    def memory(self) -> float:
        """Memory that the process holds, in MiB, without its children and the database."""
        return float(psutil.Process(self.pid).memory_info().rss / 2**20)

    def processor_time(self) -> float:
        """Seconds of processor time that the process itself used up to now."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def jobserver_of(checkout: Path) -> tuple[str, ...]:
    """Return the command line of another checkout's Jobserver."""
    program = checkout / ".venv" / "bin" / "jobserver"
    if program.is_file():
        return (str(program),)
    return ("env", f"PYTHONPATH={checkout}", sys.executable, "-P", "-m", "jobserver")


@contextmanager
def new_home(jobserver: tuple[str, ...] = JOBSERVER) -> Iterator[Path]:
    """A home with the scripts of the benchmarks."""
    with tempfile.TemporaryDirectory(prefix="jobserver-bench-") as folder:
        home = Path(folder)
        subprocess.run([*jobserver, "init", folder], check=True, stdout=subprocess.DEVNULL)
        shutil.copy(_SCRIPTS, home / "scripts" / "bench.py")
        yield home


@contextmanager
def serving(
    home: Path,
    command: tuple[str, ...] = (*JOBSERVER, *RUN),
    workers: int = WORKERS,
    **settings: object,
) -> Iterator[Server]:
    """A server on a home and a free port; it is ended afterwards."""
    log = home / "server.log"
    environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    settings = {"WORKERS": workers, **settings}
    environ |= {f"{PREFIX}{name}": str(value) for name, value in settings.items()}
    with (
        log.open("w") as file,
        subprocess.Popen([*command, str(home)], stderr=file, env=environ) as process,
    ):
        try:
            yield Server(home, process.pid, _port(process, log), workers)
        finally:
            process.terminate()


@contextmanager
def new_server(workers: int = WORKERS, jobserver: tuple[str, ...] = JOBSERVER) -> Iterator[Server]:
    """A server on a home of its own."""
    with new_home(jobserver) as home, serving(home, (*jobserver, *RUN), workers) as server:
        yield server


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port in the server's first line."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := _ADDRESS.search(log.read_text()):
            return int(found[1])
        time.sleep(0.002)
    raise RuntimeError(f"the server did not start: {log.read_text()}")
