"""Runs as another user than the server's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jobserver.errors import SettingsError
from jobserver.execution.run_as import check_run_as
from jobserver.home.settings import Settings
from jobserver.home.template import make_home
from tests.support.runs import cancel, start
from tests.support.server import ROOT, MakeServer, Server, run_through, until

NOBODY = 65534
PACKAGES = sysconfig.get_path("purelib")
SCRIPTS = ROOT / "tests" / "support" / "scripts" / "looking.py"


def can_run(python: str) -> bool:
    """Whether another user can run a server of this checkout with an interpreter."""
    environ = {"PYTHONPATH": os.pathsep.join((str(ROOT), PACKAGES))}
    command = [python, "-c", "import jobserver.child.warm, pandas"]
    try:
        done = subprocess.run(
            command,
            user=NOBODY,
            group=NOBODY,
            extra_groups=(),
            env=environ,
            cwd="/",
            check=False,
            capture_output=True,
        )
    except PermissionError:
        return False
    return done.returncode == 0


IS_ROOT = os.geteuid() == 0
INTERPRETERS = (shutil.which("python3", path="/usr/bin:/bin"), os.path.realpath(sys.executable))
PYTHON = next((each for each in INTERPRETERS if IS_ROOT and each and can_run(each)), None)
pytestmark = [
    pytest.mark.skipif(not IS_ROOT, reason="only root may run jobs as another user"),
    pytest.mark.skipif(
        PYTHON is None and "CI" not in os.environ, reason="another user cannot run this checkout"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def interpreter() -> Iterator[None]:
    """Use an interpreter that every user can run."""
    assert PYTHON, f"another user can run none of {INTERPRETERS}, or not read {ROOT}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", PYTHON)
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), PACKAGES)))
        yield


def open_to_nobody(home: Path) -> None:
    """Give the user what it needs, as the documentation says."""
    home.chmod(0o711)
    shutil.copy(SCRIPTS, home / "scripts")
    (home / "tmp").mkdir(mode=0o711)
    for path in (home / "scripts", *(home / "scripts").iterdir()):
        os.chown(path, -1, NOBODY)
        path.chmod(0o750)


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that others can reach: pytest's own are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    with (
        folder_for_all() as home,
        make_server(
            home=home, prepare=open_to_nobody, RUN_AS="nobody", PROCESS_EVAL_ALLOWED=True, MONGOD=""
        ) as server,
    ):
        (server.home / "server.pid").write_text(str(server.process.pid))
        yield server


def look(server: Server, name: str) -> Any:
    """What a run with a data file sees."""
    script = {"name": "look", "kwargs": {"home": str(server.home)}}
    job = run_through(server.client, script=script, datafile=name)
    assert job["state"] == "finished", [job.get("message"), server.log]
    return job["result"]


def test_a_run_reads_its_data_and_nothing_of_the_servers(server: Server) -> None:
    uploaded = server.client.put(
        "/datafile/more.csv", files={"file": ("more.csv", b"a,b\n1,2\n3,4\n")}
    )
    assert uploaded.status_code == 201
    assert (server.data / "more.csv").stat().st_mode & 0o077 == 0
    denied = dict.fromkeys(("config", "db", "scripts", "signal", "environ"), False)
    seen = {"user": NOBODY, "groups": [NOBODY], **denied}
    assert look(server, "timeseries.csv") == {"rows": 12_000, **seen}
    assert look(server, "more.csv") == {"rows": 2, **seen}
    assert (server.data / "more.csv").stat().st_mode & 0o777 == 0o640


def test_its_large_result_is_stored_and_nothing_is_left(server: Server) -> None:
    job = run_through(server.client, script_name="large")
    assert job["state"] == "finished", [job.get("message"), server.log]
    rows = server.client.get(f"/job/{job['_id']}/result", params={"format": "csv"}).text
    assert rows.startswith("a\n0\n1\n")
    until(lambda: list((server.home / "tmp").glob("*-run-*")) == [])


def test_it_is_cancelled_like_any_other(server: Server) -> None:
    job_id = start(server.client, "wait")
    assert cancel(server.client, job_id)["state"] == "cancelled"


def test_stored_data_and_code_work_too(server: Server) -> None:
    server.client.put("/data/numbers", json={"data": [1, 2], "datatype": "json"})
    script = {"type": "eval", "code": "import os\n[data, os.getuid()]"}
    data = {"type": "mongodb", "id": "numbers"}
    job = run_through(server.client, script=script, data=data)
    assert job["result"] == [[1, 2], NOBODY], [job.get("message"), server.log]


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that the user can use."""
    with folder_for_all() as folder:
        make_home(folder)
        open_to_nobody(folder)
        yield folder


def test_a_home_that_is_open_enough_passes(home: Path) -> None:
    check_run_as(Settings(home=home, RUN_AS="nobody"))
    check_run_as(Settings(home=home, RUN_AS=str(NOBODY)))


@pytest.mark.parametrize(
    ("path", "mode", "problem"),
    [
        ("config.py", 0o644, "can read"),
        ("scripts", 0o700, "cannot read"),
        ("scripts/looking.py", 0o600, "cannot read"),
        ("scripts", 0o770, "can change"),
        (".", 0o700, "cannot enter"),
    ],
)
def test_what_the_user_may_too_little_or_too_much_is_refused(
    home: Path, path: str, mode: int, problem: str
) -> None:
    (home / path).chmod(mode)
    with pytest.raises(SettingsError, match=f"{problem} {home / path}"):
        check_run_as(Settings(home=home, RUN_AS="nobody"))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"RUN_AS": "nobody-here"}, "useradd --system nobody-here"),
        ({"RUN_AS": "0"}, "neither root"),
        ({"RUN_AS": "nobody", "EXECUTOR": "dask"}, "start its workers as that user"),
    ],
)
def test_other_users_are_refused(home: Path, settings: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        check_run_as(Settings(home=home, **settings))  # type: ignore[arg-type]


def test_a_server_without_rights_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobserver.system.run_user.capabilities", lambda: 0)
    with pytest.raises(SettingsError, match="CAP_SETUID"):
        check_run_as(Settings(home=home, RUN_AS="nobody"))
