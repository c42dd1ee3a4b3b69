"""Every run starts clean: what a run changed is as ever in the next run of the same slot."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.members import Member, Members, members_of
from tests.support.runs import MIB, carry_out, log_of, start
from tests.support.scripts.leaving import STATES
from tests.support.server import Job, MakeServer, Server, finished, until

LEAVING = Path(__file__).parents[1] / "support" / "scripts" / "leaving.py"
MEMORY = 256 * MIB


def add_leaving(home: Path) -> None:
    """Put the scripts of `tests.support.scripts.leaving` into a home."""
    shutil.copy(LEAVING, home / "scripts")


@pytest.fixture(scope="module")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server with one slot."""
    with (
        make_server(prepare=add_leaving, LOGIN_REQUIRED=True, JOB_MEMORY_LIMIT=MEMORY) as server,
        members_of(server) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def server(members: Members) -> Server:
    """Their server."""
    return members.server


@pytest.fixture(scope="module")
def alice(members: Members) -> httpx.Client:
    """The user whose jobs leave something, once the server knows the scripts."""
    client = added(members).client
    until(lambda: '"leaving"' in client.get("/scripts").text)
    return client


@pytest.fixture(scope="module")
def bob(members: Members) -> httpx.Client:
    """Another user."""
    return added(members).client


def added(members: Members) -> Member:
    """A new user."""
    return members.add(jobs=10_000)


def result(client: httpx.Client, script: str, fields: Job | None = None, **kwargs: Any) -> Any:
    """What a script returns."""
    job = carry_out(client, script, fields, **kwargs)
    assert job["state"] == "finished", job["message"]
    return job["result"]


@pytest.mark.parametrize("what", STATES)
def test_a_state_is_as_ever_in_the_next_run(
    alice: httpx.Client, bob: httpx.Client, what: str
) -> None:
    before, left = result(alice, "leave", what=what)
    assert left != before
    assert result(alice, "leave", what=what) == [before, left]
    assert result(bob, "look", what=what) == before


def test_a_counter_begins_anew(alice: httpx.Client, bob: httpx.Client) -> None:
    assert [result(client, "count") for client in (alice, alice, bob)] == [1, 1, 1]


def test_a_seed_of_another_job_makes_nothing_known(alice: httpx.Client, bob: httpx.Client) -> None:
    result(alice, "seed_all")
    drawn = [number for client in (alice, bob, bob) for number in result(client, "draw")]
    assert len(set(drawn)) == len(drawn)


def test_no_two_runs_have_the_same_names(alice: httpx.Client, bob: httpx.Client) -> None:
    names = [name for client in (alice, bob, bob) for name in result(client, "identify")]
    assert len(set(names)) == len(names)


def test_another_user_gets_the_means_of_the_file(
    server: Server, alice: httpx.Client, bob: httpx.Client
) -> None:
    summary: Job = {"datafile": "timeseries.csv"}
    content = (server.data / "timeseries.csv").read_bytes()
    assert bob.put("/datafile/timeseries.csv", files={"file": content}).status_code == 201
    before = result(bob, "summary", summary)
    result(alice, "leave", what="functions of other modules")
    assert result(bob, "summary", summary) == before
    assert before["value"]["mean"] != 666


def test_a_figure_is_drawn_alone(alice: httpx.Client, bob: httpx.Client) -> None:
    first = result(bob, "sketch", values=[1, 2], title="")
    other = result(alice, "sketch", values=[9, 0], title="left")
    assert result(bob, "sketch", values=[1, 2], title="") == first != other


@pytest.mark.parametrize("where", ["bound", "logging", "original", "descriptor"])
def test_each_job_has_its_own_text_in_its_log(
    alice: httpx.Client, bob: httpx.Client, where: str
) -> None:
    jobs = [(bob, "first"), (alice, "second"), (bob, "third")]
    for client, text in jobs:
        job = carry_out(client, "say", text=text, where=where)
        prefix = "INFO leaving: " if where == "logging" else ""
        assert log_of(client, job["_id"]) == f"{prefix}{text}\n"


def test_a_run_may_print_in_another_encoding(bob: httpx.Client) -> None:
    job = carry_out(bob, "recode", text="as ever")
    assert (job["state"], log_of(bob, job["_id"])) == ("finished", "as ever\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_run_that_ends_the_warm_process_fails_alone(
    alice: httpx.Client, bob: httpx.Client, number: signal.Signals
) -> None:
    expect_killed(carry_out(alice, "hit", above=0, number=number), f"killed by {number.name}")
    assert result(bob, "count") == 1


@pytest.mark.parametrize("above", [1, 2], ids=["base", "guard"])
def test_a_run_that_ends_the_processes_above_fails_alone(
    alice: httpx.Client, bob: httpx.Client, above: int
) -> None:
    expect_killed(carry_out(alice, "hit", above=above, number=signal.SIGKILL))
    assert result(bob, "count") == 1


def test_a_run_that_ends_its_group_of_processes_fails_alone(
    alice: httpx.Client, bob: httpx.Client
) -> None:
    assert carry_out(alice, "end_group")["message"] == "killed by SIGKILL"
    assert result(bob, "count") == 1


def expect_killed(job: Job, *messages: str) -> None:
    """See to it that a job failed since its process is gone."""
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert job["message"] in {"the process that ran it ended", *messages}


@pytest.mark.parametrize("above", [0, 2], ids=["warm process", "guard"])
def test_a_run_that_stops_what_it_was_forked_from_is_ended(
    alice: httpx.Client, bob: httpx.Client, above: int
) -> None:
    job = carry_out(alice, "hit", {"timeout": 0.5}, above=above, number=signal.SIGSTOP)
    assert (job["state"], job["message"]) == ("failed", "timeout of 0.5 s exceeded")
    assert result(bob, "count") == 1


def test_a_run_that_closes_all_files_fails_alone(alice: httpx.Client, bob: httpx.Client) -> None:
    job = carry_out(alice, "close_all")
    assert (job["state"], job["error"]) == ("failed", "Killed")
    assert job["message"] == "the script closed the pipes of its process"
    assert result(bob, "count") == 1


def test_a_run_that_starts_too_many_threads_fails_alone(
    alice: httpx.Client, bob: httpx.Client
) -> None:
    job = carry_out(alice, "start_threads")
    assert job["state"] == "failed"
    assert job["message"] == "RuntimeError: can't start new thread"
    assert result(bob, "count") == 1


def test_the_processes_of_a_run_share_its_limit_of_memory(
    alice: httpx.Client, bob: httpx.Client
) -> None:
    job = carry_out(alice, "start_processes", {"timeout": 20})
    assert (job["state"], job["error"]) == ("failed", "MemoryError")
    assert "256 MiB" in job["message"]
    assert result(bob, "count") == 1


def test_a_run_that_is_over_before_the_server_looks_is_finished(
    server: Server, alice: httpx.Client, bob: httpx.Client
) -> None:
    gate = server.home / "gate"
    job_id = start(alice, "wait_for", name=gate.name)
    found = until(lambda: re.search(r"begun (\d+)\n", log_of(alice, job_id)))
    run = psutil.Process(int(found[1]))
    warm = run.parent()
    assert warm is not None
    assert warm.children() == [run]
    server.process.send_signal(signal.SIGSTOP)
    try:
        gate.touch()
        until(lambda: not run.is_running())
        until(lambda: warm.children() and warm.status() == psutil.STATUS_SLEEPING)
    finally:
        server.process.send_signal(signal.SIGCONT)
    job = finished(alice, job_id)
    assert (job["state"], job.get("message")) == ("finished", None)
    assert log_of(alice, job_id) == f"begun {run.pid}\n"
    assert result(bob, "count") == 1
