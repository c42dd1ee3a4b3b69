"""SIGTERM: no new runs, a grace for those that go on, then the end; a second one ends at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.test_event_streams import parsed
from tests.support.fleet import Fleet, fleet
from tests.support.runs import add_unruly, begin, create, last_state, read, start
from tests.support.server import END_SECONDS, MakeServer, finished, until


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("home")
    add_unruly(home)
    with fleet(home, "server", WORKERS=2, SHUTDOWN_GRACE=0.3) as members:
        yield members


@contextmanager
def again(members: Fleet) -> Iterator[httpx.Client]:
    """A client of the same home after a new start."""
    members.wait_ready()
    with members.client() as client:
        yield client


def test_a_grace_lets_runs_end_and_refuses_new_ones(make_server: MakeServer) -> None:
    with make_server(prepare=add_unruly, SHUTDOWN_GRACE=20) as server:
        client, gate = server.client, server.home / "gate"
        job_id = begin(client, "wait_for", name=gate.name)
        other = create(client, "noop")
        client.put("/job/empty")
        with client.stream("GET", f"/job/{other}/events") as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith(":")
            server.terminate()
            until(lambda: client.post("/job/empty/run").status_code == 503)  # and no longer 422
            refused = client.post(f"/job/{other}/run")
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert "shutting down" in refused.json()["message"]
            assert client.get("/health").json() == refused.json()
            assert read(client, other)["state"] == "created"
            assert read(client, job_id)["state"] == "running"  # it still answers
            assert client.put("/job/late").status_code == 201
            gate.touch()
            assert last_state(client, job_id) == "finished"
            assert [kind for _, kind, _ in parsed(lines)] == ["state"]  # the stream ends too
        assert server.process.wait(END_SECONDS) == 0


def test_after_the_grace_runs_are_interrupted_and_tried_again(members: Fleet) -> None:
    with members.client() as client:
        cut = begin(client, "spin")
        tried = begin(client, "wait_for", {"retries": 1}, name="gate")
        waiting = start(client, "noop")
    began = time.monotonic()
    members.stop()
    assert time.monotonic() - began < 10
    assert not members.processes()
    assert list((members.home / "tmp").iterdir()) == []
    (members.home / "gate").touch()
    with again(members) as client:
        job = read(client, cut)
        assert (job["state"], job["error"]) == ("failed", "Interrupted")
        assert job["message"] == "interrupted: the server was shut down"
        assert finished(client, waiting)["state"] == "finished"
        job = finished(client, tried)
    assert job["state"] == "finished"
    assert [one["error"] for one in job["attempts"]] == ["Interrupted", None]
    assert (members.home / "book").read_text() == f"{tried} 1\n{tried} 2\n"


def test_it_ends_while_many_jobs_are_claimed(members: Fleet) -> None:
    """None of them may hold up the end."""
    with members.client() as client:
        ids = [start(client, "doze")]
        ids += [start(client, "noop") for _ in range(40)]
    began = time.monotonic()
    members.stop()
    assert time.monotonic() - began < 10
    with again(members) as client:
        states = [finished(client, job_id)["state"] for job_id in ids[1:]]
        assert set(states) <= {"finished", "failed"}
        assert states.count("failed") <= 2


def test_a_second_signal_ends_it_at_once(home: Path) -> None:
    with fleet(home, "server", WORKERS=1, SHUTDOWN_GRACE=60) as members:
        server = members.members["server"]
        with members.client() as client:
            begin(client, "deaf")
            server.send_signal(signal.SIGTERM)
            until(lambda: "Shutting down" in members.log("server"))
            assert server.poll() is None
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(END_SECONDS) == 0
        assert time.monotonic() - began < 5
        until(lambda: not members.processes(), 2.0)


@pytest.mark.parametrize("command", ["run", "worker"])
def test_it_ends_at_once_while_it_waits_for_its_database(home: Path, command: str) -> None:
    environ = {**os.environ, "JOBSERVER_MONGO_URI": "mongodb://127.0.0.1:1/"}
    log, arguments = (
        home / "log",
        [sys.executable, "-m", "jobserver", command, "--home", str(home)],
    )
    with log.open("w") as file, subprocess.Popen(arguments, env=environ, stderr=file) as process:
        until(lambda: psutil.Process(process.pid).num_threads() > 1)  # pymongo's
        process.terminate()
        assert process.wait(2) == 0
    assert log.read_text() == ""


def test_a_moved_log_is_opened_again_on_sighup(make_server: MakeServer) -> None:
    with make_server() as server:
        log, moved = server.home / "server.log", server.home / "server.log.1"
        log.rename(moved)
        server.process.send_signal(signal.SIGHUP)
        until(log.exists)
        assert server.client.get("/health").status_code == 200
        server.terminate()
        until(lambda: "Shutting down" in log.read_text(encoding="utf-8"))
        assert "Shutting down" not in moved.read_text(encoding="utf-8")


def test_a_closed_terminal_is_noticed(tmp_path: Path) -> None:
    found = tmp_path / "found"
    terminal, device = pty.openpty()
    code = f"""
import os, pathlib, signal
os.open({os.ttyname(device)!r}, os.O_RDWR)  # is its terminal now
from jobserver.server.shutdown import has_terminal
found = pathlib.Path({str(found)!r})
signal.signal(signal.SIGHUP, lambda *_: found.write_text(f"then {{has_terminal()}}"))
found.write_text(f"now {{has_terminal()}}")
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True):
        os.close(device)
        until(lambda: found.exists() and found.read_text(encoding="utf-8") == "now True")
        os.close(terminal)
        until(lambda: found.read_text(encoding="utf-8") == "then False")
