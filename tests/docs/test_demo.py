"""``jobserver demo``, the first thing a newcomer sees."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobserver.cli.demo import WIDTH, as_curl, layout
from tests.support.server import ROOT, lives, until

COMMAND = [sys.executable, "-m", "jobserver", "demo"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which only the demo uses the temporary folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "COLUMNS": "100"}


def answers(output: str) -> list[dict[str, object]]:
    """Return the JSON objects in an output."""
    found = re.findall(r"^\{\n.*?^\}$", output, re.DOTALL | re.MULTILINE)
    return [json.loads(text) for text in found]


def test_demo_shows_the_four_steps(environ: dict[str, str], tmp_path: Path) -> None:
    environ["JOBSERVER_STRINGIFY"] = "false"  # its own settings must not matter
    done = subprocess.run(
        COMMAND, env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

    commands = re.findall(r"^curl .*?(?=\n\n)", done.stdout, re.DOTALL | re.MULTILINE)
    assert [shlex.split(command)[:3] for command in commands[:2]] == [
        ["curl", "-X", "PUT"],
        ["curl", "-X", "POST"],
    ]
    created, edited, started, finished = answers(done.stdout)
    job = f"/job/{created['_id']}"
    assert [command.partition(job)[2] for command in commands[2:]] == ["/run", ""]
    assert edited["datafile"] == "timeseries.csv"
    assert started["state"] == "queued"
    assert finished["state"] == "finished"
    assert isinstance(finished["result"], dict)
    assert finished["result"]["value"]["count"] == "12000.0"
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    assert list(tmp_path.iterdir()) == []


def test_demo_leaves_nothing_when_it_is_stopped(environ: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(COMMAND, env=environ, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        assert demo.stdout.readline().startswith("Jobserver")
        family = until(lambda: psutil.Process(demo.pid).children(recursive=True))
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()
    assert demo.returncode == 1
    until(lambda: not any(map(lives, family)), 10.0)
    assert list(tmp_path.iterdir()) == []


def test_commands_can_be_pasted() -> None:
    body = {"script_name": "it's", "datafile": "two words.csv"}
    words = shlex.split(as_curl("POST", "http://localhost/job", body))
    assert words[:4] == ["curl", "-X", "POST", "http://localhost/job"]
    assert json.loads(words[words.index("-d") + 1]) == body
    assert as_curl("GET", "http://localhost/job", {}) == "curl http://localhost/job"


def test_responses_are_formatted() -> None:
    answer = {"short": {"a": 1}, "long": {"text": "x" * WIDTH}}
    fields = layout(answer)
    assert fields[0] == '  "short": {"a": 1}'
    assert fields[1].startswith('  "long": {\n    "text": ')
    assert json.loads("{" + ",".join(fields) + "}") == answer
