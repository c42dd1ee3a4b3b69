"""Users: whether the time of a login tells who is known, and what logins cost everybody else."""

from __future__ import annotations

import base64
import statistics
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.server import Server, new_home, serving

USERS = 4
PASSWORD = "a password of the benchmarks"  # noqa: S105 - of a throw-away home
WRONG = "another password of them"
READ_SECONDS = 6.0


def measure(quick: bool) -> list[Figure]:
    """Log in with wrong passwords, and read jobs beside logins."""
    logins = 40 if quick else 300
    with new_home() as home:
        for number in range(USERS):
            _add(home, f"user{number}@example.org")
        with serving(home, LOGIN_REQUIRED=True) as server:
            return _times(server, logins) + _beside(server)


def _add(home: Path, email: str) -> None:
    command = [
        sys.executable,
        "-m",
        "jobserver",
        "user",
        "add",
        email,
        "--password-stdin",
    ]
    subprocess.run(
        [*command, "--home", str(home)], input=PASSWORD, text=True, check=True, capture_output=True
    )


def _times(server: Server, logins: int) -> list[Figure]:
    """Seconds of refused logins, of known and unknown addresses by turns."""
    known: list[float] = []
    unknown: list[float] = []
    for number in range(logins):
        who = number % USERS
        known.append(_log_in(server.port, f"user{who}@example.org", WRONG, 401))
        unknown.append(_log_in(server.port, f"nobody{who}@example.org", WRONG, 401))
    medians = [statistics.median(times) * 1000 for times in (known, unknown)]
    return [
        Figure(f"a refused login of a known address, median of {logins}", medians[0], "ms"),
        Figure("the same of an unknown address", medians[1], "ms"),
        Figure("the difference", abs(medians[0] - medians[1]), "ms", at_most=5),
    ]


def _beside(server: Server) -> list[Figure]:
    """Reads of a job alone, and beside four clients that log in all the time."""
    header = _basic("user0@example.org", PASSWORD)
    alone = _reads(server.port, header)
    over = threading.Event()

    def log_in_again_and_again(number: int) -> None:
        while not over.is_set():
            _log_in(server.port, f"nobody{number}@example.com", WRONG)

    threads = [threading.Thread(target=log_in_again_and_again, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    beside = _reads(server.port, header)
    over.set()
    for thread in threads:
        thread.join()
    return [
        Figure("reads of a job, 1 client", alone, "/s"),
        Figure("the same beside 4 clients that log in, by that", beside / alone, at_least=0.5),
    ]


def _reads(port: int, header: dict[str, str]) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < READ_SECONDS:
        connection.request("GET", "/job/none", headers=header)
        connection.getresponse().read()
        rounds += 1
    connection.close()
    return rounds / (time.perf_counter() - began)


def _log_in(port: int, email: str, password: str, expected: int | None = None) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", "/login", headers=_basic(email, password))
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    connection.close()
    if expected not in (None, answer.status):
        raise RuntimeError(f"a login was answered {answer.status}")
    return took


def _basic(email: str, password: str) -> dict[str, str]:
    shown = base64.b64encode(f"{email}:{password}".encode()).decode()
    return {"Authorization": f"Basic {shown}"}
