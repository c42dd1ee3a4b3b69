"""Lines of the log in JSON: one a record, free of secrets, with the ids they are about."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from jobserver.system.logs import JsonFormatter, about, add_ids, current_request, masked

FORMATTER = JsonFormatter()
#: What a process may log besides its own lines.
STRAY = """
import logging, threading, warnings
from jobserver.system.logs import announce, log_request, log_to_stderr
log_to_stderr("LOG_FORMAT")
announce("started")
log_request("A request.", status=200)
warnings.warn("old\\nstyle")
logging.getLogger("waitress").warning("bad request from %s", "a@example.org")
logging.getLogger("pymongo.pool").error("lost mongodb://bob:hunter2@host/x")
logging.getLogger("other").info("not of interest")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
raise ValueError("mongodb://bob:hunter2@host/x")
"""


def logged(message: str, *args: object, **options: Any) -> dict[str, Any]:
    """What a record is as JSON; it is one line in ASCII."""
    record = logging.LogRecord("jobserver.x", logging.WARNING, __file__, 1, message, args, None)
    vars(record).update(options)
    line = FORMATTER.format(record)
    assert line.isascii()
    assert line.isprintable()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_says_when_where_and_what() -> None:
    before = datetime.now(UTC)
    line = logged("%d of %s", 1, "two")
    moment = datetime.fromisoformat(line.pop("time"))
    assert abs((moment - before).total_seconds()) < 10
    assert line == {"level": "WARNING", "logger": "jobserver.x", "message": "1 of two"}


def test_a_line_names_what_it_is_about() -> None:
    with about(job="j1", attempt=2, user=None):
        with about(request="r1"):
            assert current_request() == "r1"
            add_ids(user="u1")
            inner = logged("inner")
        outer = logged("outer")
    assert {"job": "j1", "attempt": 2, "request": "r1", "user": "u1"}.items() <= inner.items()
    assert (outer["job"], outer["attempt"]) == ("j1", 2)
    assert {"request", "user"}.isdisjoint(outer)
    assert current_request() is None
    assert "job" not in logged("later")


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x7f", "\x9b", "\u2028", "\u202e", "\ud800"])
def test_nobody_forges_a_line(char: str) -> None:
    forged = f'a{char}{{"level": "INFO"}}'
    with about(script=forged):
        line = logged("GET %s", forged, fields={"path": forged})
    assert line["message"] == f"GET {forged}"
    assert (line["path"], line["script"], line["level"]) == (forged, forged, "WARNING")


def test_a_traceback_is_part_of_its_line_without_secrets() -> None:
    try:
        raise ValueError("no answer of mongodb://bob:hunter2@host/x")
    except ValueError:
        line = logged("failed", exc_info=sys.exc_info())
    assert line["exception"].startswith("Traceback")
    assert "ValueError: no answer of mongodb://bob:***@host/x" in line["exception"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/user/anna.b+c@mail.example.org/resend", "/user/***/resend"),
        ("550 <anna@example.org>: unknown", "550 <***>: unknown"),
        ("mongodb://bob:***@db.example.org/x", "mongodb://bob:***@db.example.org/x"),
        ("http://host:80/a@b and @decorated", "http://host:80/a@b and @decorated"),
    ],
)
def test_addresses_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize("text", ["a" * 100_000, "a." * 50_000 + "@", "a@" * 50_000, "x=" * 50_000])
def test_a_long_word_takes_no_longer(text: str) -> None:
    began = time.process_time()
    masked(text)
    assert time.process_time() - began < 2


@pytest.fixture(scope="module")
def stray() -> list[dict[str, Any]]:
    """What a process logs in JSON."""
    return [json.loads(line) for line in run_stray("json").splitlines()]


def run_stray(log_format: str) -> str:
    """What a process writes to stderr that ends with an exception."""
    command = [sys.executable, "-c", STRAY.replace("LOG_FORMAT", log_format)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_all_that_a_process_logs_is_json(stray: list[dict[str, Any]]) -> None:
    found = [(line["logger"], line["level"]) for line in stray]
    assert found == [
        ("jobserver.service", "INFO"),
        ("jobserver.access", "INFO"),
        ("py.warnings", "WARNING"),
        ("waitress", "WARNING"),
        ("pymongo.pool", "ERROR"),
        ("jobserver.system.logs", "ERROR"),
        ("jobserver.system.logs", "CRITICAL"),
    ]
    assert "old\nstyle" in stray[2]["message"]
    assert "ZeroDivisionError" in stray[5]["exception"]
    assert "ValueError" in stray[6]["exception"]


def test_no_line_holds_a_secret_or_an_address(stray: list[dict[str, Any]]) -> None:
    assert [word for word in ("hunter2", "example.org") if word in json.dumps(stray)] == []


def test_text_is_for_people() -> None:
    first, second, *_ = run_stray("text").splitlines()
    assert first == "started"
    assert "UserWarning: old" in second
