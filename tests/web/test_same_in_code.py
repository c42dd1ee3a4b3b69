"""The code on a job's page does what the job did, whatever stands in its fields."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobserver.web.same_in_code import examples
from tests.support.examples import runs
from tests.support.members import Members
from tests.support.server import Server

#: What quotes, shells, raw strings and object literals might break.
ODD = {
    'it\'s "odd" `date` $HOME $(date) %s {x} \\n \\': ["line\nbreak\ttab", "\u2028 \u202e ü 水 🌊"],
    "raw": ')" )-" )--" r"(x)"',
    "__proto__": {"a": 1},
    "numbers": [9007199254740993, -1, 0.1, 1e300, True, False, None],
}
PROGRAMS = {
    "curl": ("bash", "true", "sh"),
    "python": (sys.executable, "import httpx", "py"),
    "r": ("Rscript", "library(httr2)", "R"),
    "javascript": ("node", "fetch", "mjs"),
}
JOBS: list[dict[str, Any]] = [
    {"script": {"name": "echo"}, "raw_data": ODD, "note": ODD},
    {"script": {"name": "add", "kwargs": {"a": 1, "b": 3}}, "timeout": 20},
    {"script": {"name": "add", "args": [4]}},
    {"script": {"type": "pipeline", "steps": ["echo", "summary"]}, "datafile": "timeseries.csv"},
]


@pytest.mark.parametrize(
    ("key", "fields"),
    [*((key, JOBS[0]) for key in PROGRAMS), *(("python", job) for job in JOBS[1:])],
)
def test_the_code_makes_the_same_job(
    server: Server, tmp_path: Path, key: str, fields: dict[str, Any]
) -> None:
    made = made_by(server, tmp_path, key, "x", fields)
    assert made["state"] == "finished"
    assert fields.items() <= {**made, "script": sent_script(made, fields)}.items()


def sent_script(made: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a script that were sent; the server adds others."""
    return {name: made["script"][name] for name in fields.get("script", {})}


@pytest.mark.parametrize("key", ["curl", "python"])
def test_a_job_too_large_for_code_is_copied_by_the_server(
    server: Server, tmp_path: Path, key: str
) -> None:
    fields = {"script_name": "echo", "raw_data": ["x" * 30_000]}
    job = server.client.put("/job", json=fields).json()["_id"]
    made = made_by(server, tmp_path, key, job, fields)
    assert (made["rerun_of"], made["result"]) == (job, fields["raw_data"])


def made_by(
    server: Server, folder: Path, key: str, job: str, fields: dict[str, Any]
) -> dict[str, Any]:
    """Run the code for a job in a language, and return the job that it made."""
    program, check, _ = PROGRAMS[key]
    if key in ("r", "javascript") and not runs(program, check):
        pytest.skip(f"{program} is not installed")
    code = {each.key: each.code for each in examples(job, fields, server.address, login=False)}
    done = ran(code[key], folder, key)
    assert done.returncode == 0, done.stderr
    listed = server.client.get("/jobs?sort=-created&limit=1&stringify=false").json()
    made: dict[str, Any] = listed["jobs"][0]
    return made


def ran(code: str, folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    """Run code with the access of nobody."""
    program, _, suffix = PROGRAMS[key]
    path = folder / f"code.{suffix}"
    path.write_text(code, encoding="utf-8")
    taken = {"JOBSERVER_TOKEN": "", "XDG_CONFIG_HOME": str(folder)}
    return subprocess.run(
        [program, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **taken},
    )


def test_a_token_comes_from_the_environment() -> None:
    for each in examples("x", {"script_name": "echo"}, "https://example.org", login=True):
        assert "JOBSERVER_TOKEN" in each.code, each.key


def test_a_missing_token_stops_the_code_with_the_way_out(members: Members, tmp_path: Path) -> None:
    address, fields = members.server.address, {"script_name": "echo", "raw_data": 1}
    found = {each.key: each.code for each in examples("x", fields, address, login=True)}
    for key in ("curl", "python"):
        done = ran(found[key], tmp_path, key)
        assert done.returncode != 0
        assert '"status":401' in done.stderr if key == "curl" else "jobserver login" in done.stderr
        assert done.stdout == ""


def test_the_code_for_curl_stops_with_the_reason(server: Server, tmp_path: Path) -> None:
    for fields, reason in (
        ({"script_name": "none"}, '"status":422'),
        ({"script_name": "fail", "note": {"state": "queued"}}, "ValueError"),
    ):
        code = examples("x", fields, server.address, login=False)[0].code
        done = ran(code, tmp_path, "curl")
        assert done.returncode == 1
        assert reason in done.stderr
        assert done.stdout == ""


def test_the_code_for_curl_waits_for_the_result(server: Server, tmp_path: Path) -> None:
    code = examples(
        "x", {"script_name": "echo", "raw_data": {"state": "queued"}}, server.address, login=False
    )[0].code
    done = ran(code, tmp_path, "curl")
    assert done.returncode == 0
    assert done.stdout.strip() == '{"state":"queued"}'
