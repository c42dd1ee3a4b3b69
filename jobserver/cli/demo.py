"""``jobserver demo``: the guide's four steps over real HTTP, in a temporary home."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

import jobserver
from jobserver.cli.options import own_command
from jobserver.errors import JobserverError
from jobserver.home.settings import PREFIX
from jobserver.home.template import make_home

START_SECONDS = 60
RUN_SECONDS = 60
#: Longest line of output.
WIDTH = 100
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_TERMINAL = ("finished", "failed", "cancelled")

Job = dict[str, Any]


class DemoFailed(JobserverError):
    """The demo did not reach a result."""


def show() -> None:
    """Print each request of the guide and the server's answer.

    Raises
    ------
    DemoFailed
        If the server does not start, or the job does not finish.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped too
    console = Console(highlight=False, soft_wrap=True)
    with (
        tempfile.TemporaryDirectory(prefix="jobserver-demo-") as folder,
        _server(Path(folder), console) as address,
    ):
        console.print(f"Jobserver {jobserver.__version__} runs at {address}, in a temporary home.")
        Tour(console, address).walk()
    console.print(_farewell(), style="bold")


class Tour:
    """The four steps, each with its request and answer.

    Parameters
    ----------
    console : Console
        Output; new fields of an answer are coloured if it has colours.
    address : str
        Address of the server, without a slash at the end.
    """

    def __init__(self, console: Console, address: str) -> None:
        self._console = console
        self._address = address
        self._seen: set[str] = set()

    def walk(self) -> None:
        """Show a job from creation to result; `DemoFailed` if it does not finish."""
        job = self._step(
            "1. Create a job that names the script to run.", "PUT", "/job", script_name="summary"
        )
        path = f"/job/{job['_id']}"
        self._step("2. Add the data.", "POST", path, datafile="timeseries.csv")
        self._step(
            "3. Start it. The answer comes at once, while the job runs.", "GET", f"{path}/run"
        )
        with self._console.status("Running ..."):
            _wait(self._address + path)
        job = self._step("4. Read it again: now it has a result.", "GET", path)
        if job["state"] != "finished":
            raise DemoFailed(f"The job ended in state {job['state']}: {job.get('message')}")

    def _step(self, title: str, method: str, path: str, **body: str) -> Job:
        url = self._address + path
        self._console.print(f"\n{title}\n", style="bold")
        self._console.print(as_curl(method, url, body), style="cyan", markup=False)
        answer = _send(method, url, body)
        self._show(answer)
        return answer

    def _show(self, answer: Job) -> None:
        self._console.print("\n{")
        fields = layout(answer)
        for field in fields:
            style = "dim" if field in self._seen else "green"
            comma = "" if field is fields[-1] else ","
            self._console.print(field + comma, style=style, markup=False)
        self._console.print("}")
        self._seen.update(fields)


def as_curl(method: str, url: str, body: Job) -> str:
    """Return the curl command that sends a request."""
    command = f"curl {url}" if method == "GET" else f"curl -X {method} {url}"
    if not body:
        return command
    lines = (command, "-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(body))}")
    return " \\\n     ".join(lines)


def layout(answer: Job) -> list[str]:
    """Return the fields of an answer as text, each on one line, or on several if it is too long."""
    fields = []
    for name, value in answer.items():
        line = "  " + json.dumps({name: value})[1:-1]
        lines = json.dumps({name: value}, indent=2).splitlines()[1:-1]
        fields.append(line if len(line) < WIDTH else "\n".join(lines))
    return fields


def _farewell() -> str:
    """Return the closing words: how to run a server."""
    command = own_command()
    return f"""
That was a job: script, data, times and result in one document.
This server and its home are gone. To run your own:

{command} init myserver
{command} run --home myserver
"""


@contextmanager
def _server(home: Path, console: Console) -> Iterator[str]:
    """Run a server in a new home on a free port, and yield its address."""
    make_home(home)
    command = [sys.executable, "-m", "jobserver", "run", "--home", str(home), "--port", "0"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    log = home / "server.log"
    with log.open("w") as file, subprocess.Popen(command, stderr=file, env=environ) as process:
        try:
            with console.status("Starting a server ..."):
                address = _address(process, log)
            yield address
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := _ADDRESS.search(log.read_text()):
            return found[0]
        time.sleep(0.02)
    raise DemoFailed(f"The server did not start. Its log:\n{log.read_text()}")


def _send(method: str, url: str, body: Job | None = None) -> Job:
    data = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - our own
            answer: Job = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise DemoFailed(f"{method} {url} was refused: {error.read().decode()}") from error


def _wait(url: str) -> None:
    deadline = time.monotonic() + RUN_SECONDS
    while _send("GET", url)["state"] not in _TERMINAL:
        if time.monotonic() > deadline:
            raise DemoFailed(f"The job did not end within {RUN_SECONDS} s.")
        time.sleep(0.05)
