"""Linters, clients and Postman take the interface as it is declared; see ``make clients``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import jobserver.app  # noqa: F401 - declares every endpoint
from jobserver.api.framework import openapi
from tests.support.server import Server

#: Folder with the tools of npm and of PyPI, each in an environment of its own.
TOOLS = Path(os.environ.get("CLIENT_TOOLS", ""))
HERE = Path(__file__).parent
COLLECTION = HERE.parents[1] / "docs" / "jobserver.postman_collection.json"

pytestmark = [
    pytest.mark.skipif("CLIENT_TOOLS" not in os.environ, reason="run: make clients"),
    pytest.mark.timeout(300),
]


def succeed(*command: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; it must exit with 0."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"REDOCLY_TELEMETRY": "off", "PYTHONPATH": str(cwd), "PATH": path},
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


def of_npm(name: str) -> Path:
    return TOOLS / "node_modules" / ".bin" / name


def written(folder: Path, *, login: bool = True) -> Path:
    """Write the document of a server with or without login."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(openapi.document(login=login, url="https://jobs.example.org")))
    return path


@pytest.mark.parametrize("login", [True, False])
def test_redocly_finds_no_error_and_no_warning(tmp_path: Path, login: bool) -> None:
    path = written(tmp_path, login=login)
    shown = succeed(of_npm("redocly"), "lint", path, "--format=json", cwd=tmp_path)
    assert json.loads(shown)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@pytest.mark.parametrize("login", [True, False])
def test_spectral_finds_no_error_and_no_warning(tmp_path: Path, login: bool) -> None:
    rules = tmp_path / ".spectral.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    lint = (of_npm("spectral"), "lint", "--fail-severity=hint", "--ruleset", rules)
    succeed(*lint, written(tmp_path, login=login), cwd=tmp_path)


def test_newman_runs_the_postman_collection(server: Server, tmp_path: Path) -> None:
    run = (of_npm("newman"), "run", COLLECTION, "--env-var", f"base_url={server.address}")
    shown = succeed(*run, "--reporters=json", "--reporter-json-export=run.json", cwd=tmp_path)
    done = json.loads((tmp_path / "run.json").read_text("utf-8"))["run"]["stats"]["assertions"]
    assert (done["total"], done["failed"]) == (5, 0), shown


def test_a_python_client_is_typed_and_runs_a_job(server: Server, tmp_path: Path) -> None:
    generator = TOOLS / "python" / "bin"
    command = (generator / "openapi-python-client", "generate", "--fail-on-warning")
    to = (
        "--path",
        written(tmp_path, login=False),
        "--output-path",
        "jobserver_client",
        "--meta",
        "none",
    )
    succeed(*command, *to, cwd=tmp_path)
    script = Path(shutil.copy(HERE / "python_client.py", tmp_path))
    # Its client.py, which is not made from the document, does not pass: it is only imported.
    typed = ("jobserver_client/api", "jobserver_client/models", script)
    succeed(generator / "mypy", "--follow-imports=silent", *typed, cwd=tmp_path)
    succeed(generator / "python", script, server.address, cwd=tmp_path)


def test_a_typescript_client_is_typed_and_runs_a_job(server: Server, tmp_path: Path) -> None:
    succeed(of_npm("openapi-typescript"), written(tmp_path), "-o", "api.d.ts", cwd=tmp_path)
    shutil.copy(HERE / "typescript_client.ts", tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(TOOLS / "node_modules")
    module = ("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022")
    succeed(of_npm("tsc"), "--strict", *module, "typescript_client.ts", cwd=tmp_path)
    succeed("node", "typescript_client.js", server.address, cwd=tmp_path)
