"""How soon a server answers, and the command line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.client import Client
from benchmarks.figures import Figure
from benchmarks.server import new_home, serving

HELP = ("-m", "jobserver", "--help")
NOTHING = ("-c", "pass")


def measure(quick: bool) -> list[Figure]:
    """Start servers on a home that was served before, and ask the command line for help."""
    with new_home() as home:
        _first_answer(home)  # makes the database
        starts = [_first_answer(home) for _ in range(3 if quick else 7)]
    pairs = [(_run(*HELP), _run(*NOTHING)) for _ in range(5 if quick else 15)]
    helps, bases = zip(*pairs, strict=True)
    return [
        Figure("start of the server to the first answer, median", median(starts), "s", at_most=1.5),
        Figure("the slowest of these starts", max(starts), "s"),
        Figure("jobserver --help, median", median(helps), "s", at_most=0.15),
        Figure("a Python that does nothing, median", median(bases), "s"),
    ]


def _first_answer(home: Path) -> float:
    """Seconds until the server and its database answer."""
    began = time.perf_counter()
    with serving(home) as server:
        Client(server.port).send("GET", "/health")
        return time.perf_counter() - began


def _run(*arguments: str) -> float:
    """Seconds that a Python takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
