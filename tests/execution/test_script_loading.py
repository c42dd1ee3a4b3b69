"""Files of scripts that cannot be imported, or are edited: the others run meanwhile."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.runs import carry_out, create
from tests.support.server import SCRIPTS, Job, MakeServer, Server, until

#: Seconds that an import may take here.
LIMIT = 2.0
#: Seconds within which a job is done that waits for nothing.
SOON = 1.5
#: Seconds in which the server finds out about every broken file.
SETTLED = 40.0


def source(module: str) -> str:
    """The text of a file of scripts."""
    return (SCRIPTS.with_name("loading") / f"{module}.py").read_text()


#: Files that cannot be loaded, and what is said of them.
BROKEN = {
    "sleeping": (
        "import time; time.sleep(600)",
        "importing sleeping.py took longer than 2 s",
    ),
    "looping": (
        "while True: pass",
        "importing looping.py took longer than 2 s",
    ),
    "deaf": (source("deaf"), "importing deaf.py took longer than 2 s"),
    "stopped": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        "importing stopped.py took longer than 2 s",
    ),
    "exiting": (
        "import os; os._exit(3)",
        "importing exiting.py failed: the script ended its process with exit code 3",
    ),
    "crashing": (
        "import ctypes; ctypes.string_at(0)",
        "importing crashing.py failed: killed by SIGSEGV",
    ),
    "closing": (
        "import os; os.closerange(3, 256)",
        "importing closing.py failed",
    ),
    "raising": ("raise ValueError('no data')", "ValueError: no data"),
    "leaving": ("import sys; sys.exit('left')", "SystemExit: left"),
    "misspelt": ("def f(:", "SyntaxError"),
    "hooked": (source("hooked"), "on_init of hooked.py took longer than 2 s"),
}
#: Files that start something when they are imported; their scripts run all the same.
STARTING = {name: source(name) for name in ("threaded", "spawning", "forking", "copying")}
RESULTS = {"threaded": 2, "spawning": True, "forking": 1, "copying": 1}
EDITED = """
import helper
from bundle import part

def edited():
    return {answer}

def helped():
    return [helper.VALUE, part.VALUE]
"""


def write(server: Server | Path, file: str, text: str) -> None:
    """Write a file of scripts, whole at once, as most editors do."""
    folder = (server if isinstance(server, Path) else server.home) / "scripts"
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".new").write_text(textwrap.dedent(text))
    path.with_suffix(".new").replace(path)


def add_scripts(home: Path) -> None:
    """Put scripts into a home that can be edited."""
    write(home, "edited.py", EDITED.format(answer=1))
    write(home, "helper.py", "VALUE = 1")
    write(home, "bundle/__init__.py", "")
    write(home, "bundle/part.py", "VALUE = 1")
    write(home, "other.py", "def other(): return 'as ever'")


def add_all(home: Path) -> None:
    """Put these scripts into a home, and all that are broken or start something."""
    add_scripts(home)
    for module, (text, _) in BROKEN.items():
        write(home, f"{module}.py", text)
    for module, text in STARTING.items():
        write(home, f"{module}.py", text)


@pytest.fixture(scope="module")
def found_at_start() -> set[str]:
    """The broken files that the server of these tests had found when its first job had run."""
    return set()


@pytest.fixture(scope="module")
def broken_server(make_server: MakeServer, found_at_start: set[str]) -> Iterator[Server]:
    """A server whose home is full of files that cannot be imported."""
    with make_server(prepare=add_all, SCRIPT_IMPORT_TIMEOUT=LIMIT) as server:
        run_soon(server.client, "other", SETTLED)
        found_at_start |= errors(server.client).keys()
        yield server
        server.check()


@pytest.fixture(scope="module")
def broken(broken_server: Server) -> httpx.Client:
    """A client of that server."""
    return broken_server.client


@pytest.fixture(scope="module")
def server(make_server: MakeServer) -> Iterator[Server]:
    """A server whose scripts are edited."""
    with make_server(prepare=add_scripts, SCRIPT_IMPORT_TIMEOUT=LIMIT) as server:
        until(lambda: "other" in names(server.client), 10)
        yield server
        server.check()


@pytest.fixture(scope="module")
def client(server: Server) -> httpx.Client:
    """A client of that server."""
    return server.client


def scripts(client: httpx.Client) -> Job:
    """Return what the server reports about scripts."""
    answer = client.get("/scripts")
    assert answer.status_code == 200, answer.text
    described: Job = answer.json()
    return described


def names(client: httpx.Client) -> set[str]:
    """The scripts that there are."""
    return {script["name"] for script in scripts(client)["scripts"]}


def errors(client: httpx.Client) -> dict[str, str]:
    """What is said of modules."""
    return {each["module"]: each["error"] for each in scripts(client).get("errors", [])}


def run_soon(client: httpx.Client, script: str, seconds: float = 10.0) -> Any:
    """What a script returns, which has to be known within some seconds."""
    job_id = create(client, script)
    until(lambda: client.post(f"/job/{job_id}/run").status_code == 202, 15)

    def ended() -> Job | None:
        job: Job = client.get(f"/job/{job_id}", params={"stringify": "false"}).json()
        return job if job["state"] in {"finished", "failed"} else None

    job = until(ended, seconds)
    assert job["state"] == "finished", job["message"]
    return job["result"]


def refusal(client: httpx.Client, script: str) -> str:
    """Why a script is refused; empty if it is not known yet."""
    answer = client.post(f"/job/{create(client, script)}/run")
    if answer.status_code != 422:
        assert answer.status_code in (202, 503)
        return ""
    found: str = answer.json()["errors"][0]["problem"]
    return found


# Files that are broken from the start


def test_the_start_waits_for_no_script(broken: httpx.Client, found_at_start: set[str]) -> None:
    assert not {"sleeping", "looping", "deaf", "stopped", "hooked"} <= found_at_start


def test_jobs_run_while_files_are_found_to_be_broken(broken: httpx.Client) -> None:
    for _ in range(3):
        began = time.monotonic()
        assert run_soon(broken, "other") == "as ever"
        assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def settled(broken: httpx.Client) -> dict[str, str]:
    """What is said of modules once the server knows all."""

    def known() -> dict[str, str]:
        found = errors(broken)
        is_known = found.keys() >= {*BROKEN, *STARTING} - {"forking"}
        waits = any("still being imported" in text for text in found.values())
        return found if is_known and not waits else {}

    found: dict[str, str] = until(known, SETTLED)
    return found


@pytest.mark.parametrize("module", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(
    settled: dict[str, str], broken_server: Server, module: str
) -> None:
    text = BROKEN[module][1]
    assert text in settled[module]
    if "importing" in text or "on_init" in text:
        assert text in broken_server.log
        assert broken_server.log.count(text) == 1


def test_nothing_else_is_named(settled: dict[str, str]) -> None:
    assert settled.keys() - {*BROKEN, *STARTING} == set()


@pytest.mark.parametrize(("module", "what"), [("threaded", "threads"), ("spawning", "processes")])
def test_a_file_that_starts_something_is_named(
    settled: dict[str, str], broken_server: Server, module: str, what: str
) -> None:
    assert settled[module].startswith(f"starts {what} when it is imported")
    assert f"{module}.py starts {what} when it is imported" in broken_server.log


@pytest.mark.parametrize("module", STARTING)
def test_scripts_of_a_file_that_starts_something_run(
    settled: dict[str, str], broken: httpx.Client, module: str
) -> None:
    for _ in range(2):
        assert run_soon(broken, module) == RESULTS[module]


def test_a_script_whose_hook_takes_too_long_cannot_run(
    settled: dict[str, str], broken: httpx.Client
) -> None:
    reason = refusal(broken, "hooked")
    assert "on_init of hooked.py took longer than 2 s" in reason or "Modules with errors" in reason


def test_broken_files_stop_nothing_once_they_are_known(
    settled: dict[str, str], broken: httpx.Client
) -> None:
    for _ in range(3):
        began = time.monotonic()
        assert run_soon(broken, "other") == "as ever"
        assert time.monotonic() - began < SOON


# Files that are edited


def answers(client: httpx.Client, script: str, expected: Any) -> bool:
    """Whether a script gives what is expected."""
    return bool(carry_out(client, script).get("result") == expected)


def test_an_edited_script_gives_the_new_answer_at_once(
    server: Server, client: httpx.Client
) -> None:
    for answer in (2, 3):
        write(server, "edited.py", EDITED.format(answer=answer))
        assert run_soon(client, "edited") == answer
        assert run_soon(client, "other") == "as ever"


@pytest.mark.parametrize("file", ["helper.py", "bundle/part.py"])
def test_an_edited_helper_is_used_at_once(server: Server, client: httpx.Client, file: str) -> None:
    for value in (2, 1):
        write(server, file, f"VALUE = {value}")
        assert run_soon(client, "helped") == ([value, 1] if file == "helper.py" else [1, value])


def test_an_edit_of_the_same_size_and_time_of_the_second_is_seen(
    server: Server, client: httpx.Client
) -> None:
    for letter in "abcd":
        write(server, "letters.py", f"def letter(): return '{letter}'")
        assert run_soon(client, "letter") == letter


def test_a_new_file_is_known_and_one_that_is_gone_is_not(
    server: Server, client: httpx.Client
) -> None:
    write(server, "fresh.py", "def fresh(): return 1")
    assert run_soon(client, "fresh") == 1
    (server.home / "scripts" / "fresh.py").unlink()
    assert refusal(client, "fresh").startswith("'fresh' is unknown.")
    assert "fresh" not in names(client)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import time; time.sleep(600)", "importing mended.py took longer than 2 s"),
        ("import os; os._exit(3)", "importing mended.py failed"),
        ("raise ValueError('no data')", "ValueError: no data"),
    ],
    ids=["hangs", "exits", "raises"],
)
def test_an_edit_mends_a_broken_file(
    server: Server, client: httpx.Client, text: str, expected: str
) -> None:
    write(server, "mended.py", text)
    until(lambda: expected in errors(client).get("mended", ""), 15)
    assert "mended" in refusal(client, "mended")
    write(server, "mended.py", "def mended(): return 1")
    assert run_soon(client, "mended") == 1
    assert errors(client) == {}
    (server.home / "scripts" / "mended.py").unlink()


def test_other_scripts_run_at_once_while_an_edited_file_hangs(
    server: Server, client: httpx.Client
) -> None:
    write(server, "edited.py", f"import time; time.sleep(600)\n{EDITED.format(answer=4)}")
    edited_at = time.monotonic()
    for _ in range(3):
        assert run_soon(client, "other") == "as ever"
    assert time.monotonic() - edited_at < SOON
    write(server, "helper.py", "VALUE = 5")
    write(server, "other.py", "def other(): return 'edited'")
    assert run_soon(client, "other", 4) == "edited"
    write(server, "edited.py", EDITED.format(answer=6))
    assert run_soon(client, "helped")[0] == 5
    assert run_soon(client, "edited") == 6


def test_a_running_job_goes_on_when_its_file_is_edited(
    server: Server, client: httpx.Client
) -> None:
    text = source("lasting")
    write(server, "lasting.py", text)
    gate = server.home / "scripts" / "gate"
    job_id = create(client, "lasting")
    assert client.post(f"/job/{job_id}/run").status_code == 202
    until(lambda: "begun" in client.get(f"/job/{job_id}/log").text)
    write(server, "lasting.py", text.replace("ANSWER = 1", "ANSWER = 2"))
    os.utime(server.home / "scripts" / "lasting.py")
    gate.touch()
    job = until(lambda: finished_job(client, job_id))
    assert (job["state"], job["result"]) == ("finished", 1)
    assert run_soon(client, "lasting") == 2


def finished_job(client: httpx.Client, job_id: str) -> Job | None:
    """A job once it is finished."""
    job: Job = client.get(f"/job/{job_id}", params={"stringify": "false"}).json()
    return job if job["state"] == "finished" else None


def test_an_import_leaves_nothing_in_the_folder_of_the_scripts(server: Server) -> None:
    assert not list((server.home / "scripts").rglob("__pycache__"))
