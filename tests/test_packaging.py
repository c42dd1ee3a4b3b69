"""What is shipped: the pins, the sdist, the wheel, and that the wheel works outside a checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import jobserver
from benchmarks.make_timeseries import timeseries

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TEMPLATE = {"config.default", "data/timeseries.csv"}
NOT_SHIPPED = (".*", "__pycache__", "build", "dist", "*.egg-info", "db", "_build")
#: What tells the oldest Python that a package runs on.
FLOOR = "Requires-Python"


def test_timeseries_is_the_documented_one() -> None:
    path = ROOT / "data" / "timeseries.csv"
    table = pd.read_csv(path, parse_dates=["date"])
    assert list(table.columns) == ["date", "value"]
    assert len(table) == 12_000
    assert round(path.stat().st_size / 1024) == 566
    assert table["date"].diff().nunique() == 1
    assert table["value"].mean() == pytest.approx(40.1, abs=0.1)
    assert table["value"].std() == pytest.approx(12.66, abs=0.05)


def test_timeseries_comes_from_its_generator() -> None:
    kept = (ROOT / "data" / "timeseries.csv").read_text("ascii").splitlines()
    made = timeseries().splitlines()
    kept_values, made_values = (
        np.array([float(line.split(",")[1]) for line in lines[1:]]) for lines in (kept, made)
    )
    assert [line.split(",")[0] for line in kept] == [line.split(",")[0] for line in made]
    np.testing.assert_allclose(kept_values, made_values, rtol=1e-12)


def pins() -> dict[str, str]:
    """The packages of ``requirements.txt`` with their exact versions."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [str(r) for r in requirements if not re.fullmatch("==[^*]+", str(r.specifier))] == []
    return {canonicalize_name(r.name): str(r.specifier)[2:] for r in requirements}


def needed() -> Iterator[Requirement]:
    """Everything that this package needs with the extras that ``make install`` sets up."""
    extras = PROJECT["optional-dependencies"]
    declared = [
        line for name in ("embedded", "files", "test", "lint", "docs") for line in extras[name]
    ]
    waiting = [Requirement(line) for line in PROJECT["dependencies"] + declared]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        other_system = requirement.marker and not requirement.marker.evaluate({"extra": ""})
        if str(requirement) in seen or other_system:
            continue
        seen.add(str(requirement))
        yield requirement
        for line in distribution(requirement.name).requires or []:
            inner = Requirement(line)
            wanted = ("", *requirement.extras)
            if not inner.marker or any(inner.marker.evaluate({"extra": name}) for name in wanted):
                inner.marker = None
                waiting.append(inner)


def test_requirements_pin_everything_that_is_needed() -> None:
    versions = pins()
    wrong = [
        f"{requirement} is pinned as {versions.get(canonicalize_name(requirement.name))}"
        for requirement in needed()
        if not requirement.specifier.contains(
            versions.get(canonicalize_name(requirement.name), ""), prereleases=True
        )
    ]
    assert wrong == []


def test_requirements_take_the_oldest_python() -> None:
    """Debian's 3.11 is 3.11.2 and stays that; a pin that needs a later one fails only there."""
    known = {requirement.name: distribution(requirement.name).metadata for requirement in needed()}
    floors = {name: told[FLOOR] for name, told in known.items() if FLOOR in told}
    late = {name: floor for name, floor in floors.items() if "3.11.0" not in SpecifierSet(floor)}
    assert late == {}


def test_requirements_name_no_place() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    assert [word for word in ("://", "--", "@", "file:") if word in text] == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder


def package_files() -> set[str]:
    """Every file of the package: modules, templates, static files."""
    paths = (ROOT / "jobserver").rglob("*")
    files = {path.relative_to(ROOT).as_posix() for path in paths if path.is_file()}
    return {name for name in files if "__pycache__" not in name}


def test_sdist_holds_the_checkout(built: Path) -> None:
    top = f"jobserver_rest-{jobserver.__version__}"
    with tarfile.open(built / f"{top}.tar.gz") as sdist:
        names = {name.removeprefix(f"{top}/") for name in sdist.getnames()}
    top_level = {"setup.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}
    assert (package_files() | TEMPLATE | top_level) - names == set()
    assert [name for name in names if name.endswith(".pyc") or name == "config.py"] == []


def test_wheel_holds_package_and_template(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = package_files() | {f"jobserver/new_home/{name}" for name in TEMPLATE}
    metadata = f"jobserver_rest-{jobserver.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(metadata)} == shipped
    assert f"{metadata}licenses/LICENSE" in names


@pytest.fixture(scope="module")
def installed(built: Path) -> dict[str, str]:
    """The environment in which the wheel is installed, away from the checkout."""
    (wheel,) = built.glob("*.whl")
    target = built / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--target", target, wheel],
        check=True,
    )
    environ = {key: text for key, text in os.environ.items() if not key.startswith("JOBSERVER_")}
    return environ | {"PYTHONPATH": str(target), "PATH": f"{target}/bin:{os.environ['PATH']}"}


def test_installed_wheel_brings_its_own_template(installed: dict[str, str], built: Path) -> None:
    code = "from jobserver.home.template import home_template; print(home_template())"
    command = [sys.executable, "-c", code]
    output = subprocess.check_output(command, env=installed, cwd=built, text=True)
    assert Path(output.strip()) == built / "site" / "jobserver" / "new_home"


def test_installed_wheel_makes_and_serves_a_home(installed: dict[str, str], tmp_path: Path) -> None:
    subprocess.run(["jobserver", "init", "x"], cwd=tmp_path, env=installed, check=True)
    assert (tmp_path / "x" / "config.py").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "x" / "data" / "timeseries.csv").is_file()

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["jobserver", "run", "--home", "x", "--port", str(port)]
    with subprocess.Popen(command, cwd=tmp_path, env=installed) as server:
        try:
            answer = first_answer(server, f"http://127.0.0.1:{port}")
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
    assert answer["version"] == jobserver.__version__


def first_answer(server: subprocess.Popen[bytes], address: str) -> dict[str, object]:
    """What ``/info`` answers as soon as the server listens."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return dict(json.loads(httpx.get(f"{address}/info", timeout=5).content))
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server ended or did not answer within 30 s")
