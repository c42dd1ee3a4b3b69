"""The programs in ``examples/`` work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.server import ROOT, Server

EXAMPLES = ROOT / "examples"


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    """A server with the scripts of the examples, removed afterwards."""
    scripts = [path.name for path in (EXAMPLES / "scripts").glob("*.py")]
    for name in scripts:
        shutil.copy(EXAMPLES / "scripts" / name, server.home / "scripts" / name)
    yield server.address
    for name in scripts:
        (server.home / "scripts" / name).unlink()


def output(name: str, address: str) -> str:
    interpreter = [sys.executable] if name.endswith(".py") else ["sh"]
    return subprocess.run(
        [*interpreter, EXAMPLES / name],
        env={**os.environ, "JOBSERVER_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def test_summary_of_an_uploaded_file(address: str) -> None:
    assert "'mean': 5.25" in output("summary.py", address)
    assert "'mean': 5.25" in output("summary.py", address)  # the file is there already


def test_a_script_with_parameters(address: str) -> None:
    first, second = output("degree_days.py", address).splitlines()
    assert json.loads(first) == [0.0, 3.5, 12.25]
    assert second.startswith("422 ")
    assert "kwargs.facter" in second
    assert "factor" in second.replace("kwargs.facter", "")


def test_a_map_over_stations(address: str) -> None:
    lines = output("stations.py", address).splitlines()
    assert lines == ["Bonn 3450.5", "Koblenz 2760.0", "Mainz 1650.25"]


def test_a_job_with_curl_alone(address: str) -> None:
    assert json.loads(output("job.sh", address))["value"]["count"] == 12000.0


def test_the_list_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    files = [path for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".sh")]
    names = [path.relative_to(EXAMPLES).as_posix() for path in files]
    assert [name for name in names if f"]({name})" not in text] == []
