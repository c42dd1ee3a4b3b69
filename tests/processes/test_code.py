"""Code that jobs carry: its value, its process, its walls."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobserver.execution.supervision import sandbox
from jobserver.execution.supervision.child_messages import setup_message
from jobserver.execution.supervision.sandbox import BUBBLEWRAP, PROCESS
from jobserver.home.settings import Settings
from jobserver.processes.forms import holds_code
from tests.processes.test_executable import refusal
from tests.support.runs import cancel, log_of
from tests.support.server import Job, MakeServer, Server, finished, until

HIDDEN = "# the administrator's own\n"
#: Calls bubblewrap with another option in place of one.
WEAKENED = """#!/bin/bash
exec {bwrap} "${{@/#{option}/{other}}}"
"""
#: Runs a command as it is.
NO_WALL = """#!/bin/bash
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
shift; exec "$@"
"""


def isolation(home: Path) -> str:
    """What is found to isolate code in a home, tried anew."""
    sandbox.forget()
    sandbox._program.cache_clear()
    return sandbox.isolation(setup_message(Settings(home=home)))


within_walls = pytest.mark.skipif(
    isolation(Path("/nowhere")) == PROCESS, reason="no usable bubblewrap here"
)


def prepare(home: Path) -> None:
    """A ``config.py`` with a secret."""
    (home / "config.py").write_text(HIDDEN)


@pytest.fixture(scope="module")
def eval_server(make_server: MakeServer) -> Iterator[Server]:
    with make_server(prepare=prepare, PROCESS_EVAL_ALLOWED=True, MONGOD="") as server:
        yield server


@pytest.fixture
def client(eval_server: Server) -> Iterator[httpx.Client]:
    yield eval_server.client
    eval_server.check()


def start(client: httpx.Client, code: str, fields: Job | None = None) -> str:
    """Create a job of code and start it; its id."""
    body = {"script": {"type": "eval", "code": code}, **(fields or {})}
    job_id = str(client.put("/job", json=body).json()["_id"])
    answer = client.post(f"/job/{job_id}/run")
    assert answer.status_code == 202, answer.text
    return job_id


def run(client: httpx.Client, code: str, fields: Job | None = None) -> Job:
    """Run code; its job at its end."""
    return finished(client, start(client, code, fields))


def result(client: httpx.Client, code: str, fields: Job | None = None) -> Any:
    """What code gave."""
    job = run(client, code, fields)
    assert job["state"] == "finished", job
    return job["result"]


def test_code_gets_data_and_gives_the_value_of_its_last_expression(client: httpx.Client) -> None:
    code = "frame = data\nprint(len(frame), type(pd).__name__)\nfloat(np.max(frame['value']))\n"
    job = run(client, code, {"datafile": "timeseries.csv"})
    assert job["result"] == pytest.approx(102.62, abs=50)
    assert log_of(client, job["_id"]) == "12000 module\n"
    version = hashlib.sha256(code.encode()).hexdigest()
    assert job["provenance"]["script"] == {"type": "eval", "version": version}
    assert job["provenance"]["data"]["size"] > 500_000


def test_each_run_of_code_has_a_process_of_its_own(
    client: httpx.Client, eval_server: Server
) -> None:
    leave = "import builtins, os, pathlib\nbuiltins.left = 1\npathlib.Path('file').touch()\n"
    look = (
        "import builtins, os, pathlib, math\n"
        "def double(n):\n    return n * factor\nfactor = 2\n"
        "result = [double(21), hasattr(builtins, 'left'), os.listdir('.'), data, __name__,\n"
        "          [key for key in os.environ if key.startswith('JOBSERVER')]]\n"
        "print('told')\n"
    )
    assert result(client, leave) is None
    assert result(client, look) == [42, False, [], None, "code", []]
    plain = client.put("/job", json={"script_name": "noop"}).json()["_id"]
    client.post(f"/job/{plain}/run")
    assert finished(client, plain)["state"] == "finished"


def test_a_traceback_shows_the_line_of_the_code(client: httpx.Client) -> None:
    job = run(client, "def inner():\n    return 1 / 0\n\nvalue = inner()\n")
    assert (job["state"], job["error"]) == ("failed", "ZeroDivisionError")
    log = log_of(client, job["_id"])
    assert 'File "<code>", line 2, in inner' in log
    assert "return 1 / 0" in log
    assert "value = inner()" in log
    assert "jobserver" not in log


def test_a_generator_of_code_is_collected(client: httpx.Client) -> None:
    assert result(client, "(n**2 for n in range(3))") == [0, 1, 4]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = (1,\n\ny = 2", "line 1: '(' was never closed"),
        ("a = 1\nb = = 2\n", "line 2: invalid syntax: b = = 2"),
        ("return 1", "line 1: 'return' outside function"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("a\0b", "null bytes"),
        ("(" * 300 + ")" * 300, "too many nested parentheses"),
        (5, "must be a string"),
    ],
)
def test_what_is_no_python_is_refused(client: httpx.Client, code: Any, expected: str) -> None:
    assert expected in refusal(client, {"type": "eval", "code": code})["script.code"]


def test_other_fields_are_refused(client: httpx.Client) -> None:
    script = {"type": "eval", "code": "1", "name": "a", "args": []}
    assert refusal(client, script).keys() == {"script.name", "script.args"}


def test_code_can_be_cancelled_and_has_its_time(client: httpx.Client) -> None:
    job_id = start(client, "print('begun', flush=True)\nwhile True: pass")
    until(lambda: "begun" in log_of(client, job_id), 20)
    assert cancel(client, job_id)["state"] == "cancelled"
    job = run(client, "while True: pass", {"timeout": 0.5})
    assert job["message"] == "timeout of 0.5 s exceeded"


@within_walls
def test_code_reaches_no_network_and_no_secret(client: httpx.Client, eval_server: Server) -> None:
    code = f"""
import os, pathlib, socket
home = pathlib.Path({str(eval_server.home)!r})
found = {{}}
try:
    socket.create_connection(("127.0.0.1", {eval_server.port}), 2).close()
    found["network"] = True
except OSError:
    found["network"] = False
try:
    (home / "scripts" / "planted.py").write_text("def planted(): pass")
    found["writes"] = True
except OSError:
    found["writes"] = False
try:
    found["config"] = (home / "config.py").read_text()
except OSError:
    found["config"] = ""
found["db"] = os.listdir(home / "db") if (home / "db").exists() else []
found["others"] = len([name for name in os.listdir("/proc") if name.isdigit()]) > 10
pathlib.Path("own").write_text("it may write here")
found
"""
    nothing = {"network": False, "writes": False, "config": "", "db": [], "others": False}
    assert result(client, code) == nothing
    assert not (eval_server.home / "scripts" / "planted.py").exists()


@within_walls
def test_a_large_result_comes_out_of_the_walls(client: httpx.Client) -> None:
    job = run(client, "pd.DataFrame({'a': np.arange(2_000_000)})")
    assert job["state"] == "finished", job
    assert job["result"]["href"]
    rows = client.get(f"/job/{job['_id']}/result", params={"format": "csv"}).text
    assert rows.startswith("a\n0\n1\n")


@within_walls
def test_code_has_no_way_out(client: httpx.Client, eval_server: Server, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("another home")
    code = f"""
import ctypes, os, pathlib, socket
libc = ctypes.CDLL(None)
home, other = {str(eval_server.home)!r}, {str(tmp_path)!r}
def works(action):
    try:
        return bool(action())
    except OSError:
        return False
def connects():
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(home + "/db/mongod.sock")
        return True
found = [
    libc.mount(None, b"/usr", None, 32 | 4096, None) == 0,
    libc.umount2(home.encode(), 2) == 0,
    libc.unshare(0x10020000) == 0 and libc.umount2(home.encode(), 2) == 0,
    works(connects),
    works(lambda: os.listdir(other)),
    works(lambda: os.listdir(f"/proc/1/root{{other}}")),
    works(lambda: open(home + "/server.log")),
    works(lambda: open("/proc/sys/kernel/core_pattern", "a")),
    works(lambda: open("/etc/passwd")),
    any(works(lambda: open(f"/proc/{{pid}}/fd/2", "a")) for pid in (1, 2, os.getppid())
        if works(lambda: os.readlink(f"/proc/{{pid}}/fd/2").startswith("/"))),
    any(int(line.split()[1], 16) for line in open("/proc/self/status") if line[:3] == "Cap"),
]
[os.getuid(), os.getgid(), found]
"""
    assert result(client, code) == [65534, 65534, [False] * 11]


@within_walls
def test_walls_are_as_info_and_the_log_say(client: httpx.Client, eval_server: Server) -> None:
    assert client.get("/info").json()["eval"] == {"allowed": True, "isolation": BUBBLEWRAP}
    until(lambda: "isolated by bubblewrap" in eval_server.log)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The bubblewrap that is found, not written yet."""
    path = tmp_path / "bwrap"
    path.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    yield path
    sandbox.forget()
    sandbox._program.cache_clear()


def test_without_walls_it_is_said(
    program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program.unlink()
    assert isolation(tmp_path) == PROCESS
    assert "bwrap) is not installed" in caplog.text


def test_a_program_that_does_not_work_is_no_wall(
    program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program.write_text("#!/bin/sh\necho no permission >&2\nexit 1\n")
    assert isolation(tmp_path) == PROCESS
    assert "does not work: no permission" in caplog.text


def test_a_program_that_isolates_nothing_is_no_wall(
    program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program.write_text(NO_WALL)
    assert isolation(tmp_path) == PROCESS
    assert {"share the mnt namespace", "reach sockets"} <= set(
        caplog.messages[-1].rstrip(".").split("code can still ")[1].split(", ")
    )


@within_walls
@pytest.mark.parametrize(
    ("option", "other", "way"),
    [
        ("--unshare-net", "--unshare-uts", "reach sockets"),
        ("--unshare-pid", "--unshare-uts", "share the pid namespace"),
        ("--ro-bind-try", "--bind-try", "write outside its folder"),
    ],
)
def test_a_wall_with_a_hole_is_no_wall(
    program: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    option: str,
    other: str,
    way: str,
) -> None:
    bwrap = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    program.write_text(WEAKENED.format(option=option, other=other, bwrap=bwrap))
    assert isolation(tmp_path) == PROCESS
    assert way in caplog.text


def test_code_is_off_by_default(server: Server) -> None:
    reasons = refusal(server.client, {"type": "eval", "code": "1"})
    assert "PROCESS_EVAL_ALLOWED" in reasons["script.type"]
    assert server.client.get("/info").json()["eval"] == {"allowed": False, "isolation": None}


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (None, False),
        ({"name": "eval"}, False),
        ({"type": "eval"}, True),
        ({"type": "pipeline", "steps": [{"name": "a"}, {"type": "eval", "code": "1"}]}, True),
        ({"type": "map", "script": {"type": "eval"}}, True),
        ({"type": "function", "name": "a", "kwargs": {"type": "file"}}, False),
    ],
)
def test_code_is_found_wherever_it_is(script: Any, found: bool) -> None:
    assert holds_code(script) is found
