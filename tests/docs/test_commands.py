"""The commands as users type them: ``init``, ``run``, ``--help``."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from jobserver import __version__
from jobserver.storage.embedded import EmbeddedServer
from tests.support.server import ROOT, until

CLI = [sys.executable, "-m", "jobserver"]
HEAVY = {
    "bson",
    "dask",
    "flask",
    "httpx",
    "numpy",
    "pandas",
    "pydantic",
    "pymongo",
    "rich",
    "waitress",
}


@pytest.fixture
def environ() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("JOBSERVER_")}
    return kept | {"PYTHONPATH": str(ROOT)}


def run(*arguments: str, cwd: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_init_then_run(tmp_path: Path, environ: dict[str, str]) -> None:
    made = run("init", "x", cwd=tmp_path, environ=environ)
    assert made.returncode == 0
    assert made.stdout.splitlines() == [
        "created x/config.py",
        "created x/data/timeseries.csv",
        "created x/scripts",
        f"Start it with: {shlex.join(CLI)} run --home x",
    ]
    log = tmp_path / "log"
    command = [*CLI, "run", "--home", "x", "--port", "0"]
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=file) as server,
    ):
        address = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", log.read_text()), 30)[0]
        assert httpx.get(f"{address}/info").json()["version"] == __version__
        files = httpx.get(f"{address}/datafiles").json()["files"]
        assert [file["name"] for file in files] == ["timeseries.csv"]
        server.terminate()
    assert server.returncode == 0


def test_what_init_creates_is_private(tmp_path: Path, environ: dict[str, str]) -> None:
    run("init", "here", cwd=tmp_path, environ=environ)
    found = [tmp_path / "here", *(tmp_path / "here").rglob("*")]
    assert len(found) == 5
    assert [path for path in found if path.stat().st_mode & 0o077] == []


def test_init_twice_changes_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    run("init", cwd=tmp_path, environ=environ)
    (tmp_path / "config.py").write_text("class Config: WORKERS = 1\n")
    again = run("init", cwd=tmp_path, environ=environ)
    kept, started = again.stdout.splitlines()
    assert "nothing was changed" in kept
    assert started == f"Start it with: {shlex.join(CLI)} run --home ."
    assert (tmp_path / "config.py").read_text() == "class Config: WORKERS = 1\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run", "--home", "nowhere"], "jobserver init"),
        (["run", "--home", "."], "not a home"),
        (["export", "a.zip", "--home", "."], "jobserver init ."),
        (["run", "--host", "0.0.0.0"], "listens on this machine, not on 0.0.0.0"),  # noqa: S104
        (["run", "--config", "production"], "config.py"),
        (["run", "--port", "1" * 9], "port"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_reason(
    tmp_path: Path, environ: dict[str, str], arguments: list[str], reason: str
) -> None:
    done = run(*arguments, cwd=tmp_path, environ=environ)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert reason in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["run"], ["worker"], ["user", "list"], ["export", "a.zip"]])
def test_no_command_makes_a_home_of_a_folder_with_other_files(
    tmp_path: Path, environ: dict[str, str], arguments: list[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    done = run(*arguments, cwd=tmp_path, environ=environ)
    assert done.returncode == 2
    assert "jobserver init ." in " ".join(done.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_dask_needs_a_scheduler(tmp_path: Path, environ: dict[str, str]) -> None:
    done = run("run", "--port", "0", cwd=tmp_path, environ=environ | {"JOBSERVER_EXECUTOR": "dask"})
    assert done.returncode == 2
    assert "needs DASK_SCHEDULER" in " ".join(done.stderr.split())


def test_help_is_quick_and_light(tmp_path: Path, environ: dict[str, str]) -> None:
    began = time.monotonic()
    done = run("--help", cwd=tmp_path, environ=environ)
    seconds = time.monotonic() - began
    assert done.returncode == 0
    assert re.findall(r"^  (\w+)  ", done.stdout, re.MULTILINE)[:2] == ["demo", "export"]
    assert "..." not in done.stdout.partition("Commands:")[2]
    assert seconds < 3  # 0.15 s on a quiet machine

    environ["PYTHONPROFILEIMPORTTIME"] = "1"
    imports = run("--help", cwd=tmp_path, environ=environ).stderr
    imported = set(re.findall(r"\| +(\w+)", imports))
    assert "click" in imported
    assert imported & HEAVY == set()


def test_version(tmp_path: Path, environ: dict[str, str]) -> None:
    assert run("--version", cwd=tmp_path, environ=environ).stdout.split()[-1] == __version__


def test_users_on_the_command_line(
    tmp_path: Path, environ: dict[str, str], request: pytest.FixtureRequest
) -> None:
    (tmp_path / "config.py").touch()

    def user(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, "user", *arguments, "--home", str(tmp_path)],
            env=environ,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    add = ("add", "Ada@example.org", "--role", "superuser", "--password-stdin")
    assert "jobserver user add" in user("list").stderr
    database = EmbeddedServer(tmp_path)  # as a server would; otherwise each command starts it
    database.start()
    request.addfinalizer(database.stop)
    assert user(*add, text="long enough for this\n").returncode == 0
    assert user(*add, text="too short\n").returncode == 2
    unmailable = user("add", "a..b@example.org", "--password-stdin", text="long enough for this\n")
    assert unmailable.returncode == 2
    assert "'a..b@example.org'" in unmailable.stderr
    assert "anna@example.org" in unmailable.stderr
    assert user(*add, text="long enough for this\n").returncode == 2
    assert user("quota", "ada@example.org", "5").returncode == 0
    assert user("role", "ada@example.org", "admin").returncode == 0
    assert user("role", "eve@example.org", "admin").returncode == 2
    listed = user("list").stdout
    assert "ada@example.org  admin  active  0 started, quota 5, limit 100" in listed
    assert "argon2" not in listed


def test_others_are_served_only_with_login(tmp_path: Path, environ: dict[str, str]) -> None:
    refused = run("run", "--host", "0.0.0.0", cwd=tmp_path, environ=environ)  # noqa: S104
    assert refused.returncode == 2
    assert "LOGIN_REQUIRED" in refused.stderr
