"""What a script meets in its child, and what the next one does not notice of it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.runs import SECRET, below, carry_out, log_of
from tests.support.server import Server, lives, until


def test_a_script_sees_neither_secrets_nor_the_server(
    unruly: httpx.Client, unruly_server: Server
) -> None:
    seen = carry_out(unruly, "surroundings")["result"]
    assert not [name for name in seen["environ"] if name.startswith(("JOBSERVER", "MONGO"))]
    for where in ("environ", "parents_environ", "command"):
        assert SECRET not in str(seen[where])
        assert "mongodb://" not in str(seen[where])
    folder = Path(seen["cwd"])
    assert folder.parent == unruly_server.home / "tmp"
    assert seen["temporary"] == str(folder)
    assert seen["listing"] == []
    until(lambda: not folder.exists(), 2.0)
    assert seen["input"] == ""
    assert seen["group"] == seen["pid"]
    assert seen["session"] == seen["pid"]
    # nothing of the server's is open but the way to it
    assert len([name for name in seen["files"] if name.startswith("socket:")]) == 1
    assert [name for name in seen["files"] if not name.startswith(("pipe:", "socket:"))] in (
        ["/dev/null"],
        ["/dev/null", "/proc/self/fd"],
    )


@pytest.mark.parametrize(
    ("number", "name"),
    [(9, "SIGKILL"), (11, "SIGSEGV"), (6, "SIGABRT"), (15, "SIGTERM"), (35, "signal 35")],
)
def test_the_message_names_the_signal(unruly: httpx.Client, number: int, name: str) -> None:
    job = carry_out(unruly, "end_by", number=number)
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert job["message"] == f"killed by {name}"


def test_a_crash_in_c_code(unruly: httpx.Client) -> None:
    assert carry_out(unruly, "crash")["message"] == "killed by SIGSEGV"
    assert carry_out(unruly, "noop")["state"] == "finished"


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_without_a_word(unruly: httpx.Client, code: int) -> None:
    job = carry_out(unruly, "vanish", code=code)
    assert job["message"] == f"the script ended its process with exit code {code}"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("exit", "SystemExit: as I like"),
        ("interrupt", "KeyboardInterrupt"),
        ("odd", "Odd: (its __str__ failed: ValueError)"),
        ("generator", "GeneratorExit: left"),
        ("surrogate", "ValueError: half a character: ?"),
    ],
)
def test_whatever_a_script_raises_is_its_failure(
    unruly: httpx.Client, how: str, message: str
) -> None:
    job = carry_out(unruly, "leave", how=how)
    assert job["state"] == "failed"
    assert job["message"] == message
    assert 'File "scripts/unruly.py"' in log_of(unruly, job["_id"])


def test_a_script_that_closes_the_pipes_is_told_so(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "close_pipes")
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert job["message"] == "the script closed the pipes of its process"
    assert "Traceback" not in log_of(unruly, job["_id"])


@pytest.mark.parametrize("script", ["shut", "end_guard"])
def test_a_script_that_cuts_itself_off_fails(unruly: httpx.Client, script: str) -> None:
    job = carry_out(unruly, script)
    assert (job["state"], job["error"]) == ("failed", "Killed")


def test_a_process_apart_does_not_outlive_a_killed_guard(
    unruly: httpx.Client, unruly_server: Server
) -> None:
    assert carry_out(unruly, "leave_guard")["error"] == "Killed"
    commands = (process.name() for process in below(unruly_server.home))
    until(lambda: "sleep" not in commands, 2.0)


def test_a_script_that_writes_into_every_pipe_disturbs_itself_only(unruly: httpx.Client) -> None:
    job = carry_out(unruly, "babble", {"timeout": 1})
    assert job["state"] == "failed"
    assert carry_out(unruly, "noop")["state"] == "finished"


@pytest.mark.parametrize(
    "script",
    ["leave_alarm", "leave_mess", "close_streams", "fork_twice", "leave_thread", "leave_process"],
)
def test_the_next_job_notices_nothing(
    single: httpx.Client, single_server: Server, script: str
) -> None:
    before = carry_out(single, "surroundings")["result"]
    left = carry_out(single, script)
    after = carry_out(single, "surroundings")["result"]
    assert left["state"] == "finished"
    for name in ("umask", "path", "interrupt", "blocked", "listing", "environ"):
        own = {"environ": {"TMPDIR", "PWD", "RUN_GUARD"}}.get(name, set())
        if own:
            assert {key: after[name][key] for key in after[name].keys() - own} == {
                key: before[name][key] for key in before[name].keys() - own
            }
        else:
            assert after[name] == before[name]
    written = carry_out(single, "write_everywhere")
    assert log_of(single, written["_id"]) == EVERYWHERE
    until(lambda: not below(single_server.home), 1.0)


EVERYWHERE = "by print\nto stderr\nby C\nto the descriptor\nby a process\nthe end without a line"


@pytest.mark.parametrize("what", ["children", "input", "watchdog", "open"])
def test_the_next_job_has_a_process_without_changes(single: httpx.Client, what: str) -> None:
    assert carry_out(single, "leave_changes", what=what)["state"] == "finished"
    job = carry_out(single, "expect_nothing", seconds=1.0 if what == "watchdog" else 0.0)
    assert (job["state"], job["result"]) == ("finished", [3, True])
    assert "WARNING root: still heard" in log_of(single, job["_id"])


@pytest.mark.parametrize("how", ["state", "file", "text"])
def test_a_forged_end_is_a_failure_at_once(unruly: httpx.Client, how: str) -> None:
    began = time.monotonic()
    job = carry_out(unruly, "forge", how=how)
    assert job["state"] == "failed"
    assert job["error"] in {"Killed", "Unstorable"}
    assert time.monotonic() - began < 3
    assert carry_out(unruly, "noop")["state"] == "finished"


def test_each_job_gets_its_own_result_after_a_fork(single: httpx.Client) -> None:
    for _ in range(3):
        forked = carry_out(single, "fork_twice")
        marked = carry_out(single, "mark")
        assert isinstance(forked["result"], int)
        assert marked["result"] == {"id": marked["_id"], "attempt": 1}


def test_the_folder_is_removed_whatever_is_in_it(unruly: httpx.Client) -> None:
    folder = Path(carry_out(unruly, "write_own_file")["result"])
    until(lambda: not folder.exists(), 2.0)


def test_each_run_has_a_process_of_its_own(single: httpx.Client) -> None:
    pids = [carry_out(single, "pid")["result"] for _ in range(5)]
    assert len(set(pids)) == 5
    bars = [carry_out(single, "bar", steps=3, pause=0.0)["result"] for _ in range(3)]
    assert len({*pids, *bars}) == 8


def waiting_fork(run: dict[str, int]) -> psutil.Process:
    """The fork that waits for a run, beside that of the last one, which may still be ending."""
    warm = psutil.Process(run["parent"])
    found = until(lambda: [each for each in warm.children() if each.pid != run["pid"]])
    fork: psutil.Process = found[0]
    return fork


def has_died(process: psutil.Process) -> bool:
    return not lives(process)


def test_a_process_that_dies_while_it_waits_is_replaced(single: httpx.Client) -> None:
    for above in range(4):  # the fork that waits, and the warm, the base and the guard above it
        fork = waiting_fork(carry_out(single, "surroundings")["result"])
        [fork, *fork.parents()][above].kill()
        until(partial(has_died, fork))  # else the next run may begin in it, and die with it
        assert carry_out(single, "pid")["state"] == "finished"
