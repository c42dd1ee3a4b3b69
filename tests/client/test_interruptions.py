"""What happens when the connection is lost, or the server goes away and comes back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jobserver.client import Client, Unreachable
from jobserver.errors import Conflict, Unavailable
from tests.support.server import Server, until
from tests.support.wire import Wire


def test_a_lost_answer_makes_no_second_job(wired: Client, wire: Wire) -> None:
    wire.answers.append(0)  # to PUT /job
    job = wired.run("add", a=1)
    assert wire.cuts == 1
    assert job.result() == 3
    assert [each.id for each in wired.jobs()] == [job.id]


def test_a_job_whose_start_was_not_confirmed_runs_once(
    wired: Client, wire: Wire, server: Server
) -> None:
    job = wired.job(server.client.put("/job", json={"script_name": "noop"}).json()["_id"])
    wire.answers.append(0)
    assert job.start().wait().state == "finished"
    assert wire.cuts == 1


def test_a_deletion_whose_answer_was_lost_is_done(wired: Client, wire: Wire) -> None:
    job = wired.run("noop")
    wire.answers.append(0)
    job.delete()
    assert wired.jobs() == []


def test_a_rerun_is_not_repeated(wired: Client, wire: Wire) -> None:
    job = wired.run("noop")
    wire.answers.append(0)
    with pytest.raises(Unreachable, match="may have arrived"):
        job.rerun()
    assert len(wired.jobs()) <= 2


def test_a_wait_outlives_the_servers_absence(wired: Client, wire: Wire, server: Server) -> None:
    job = wired.submit("hold")
    waiting = threading.Thread(target=job.wait, kwargs={"timeout": 30, "progress": False})
    waiting.start()
    wire.away = True
    (server.home / "gate").touch()
    until(lambda: wire.cuts >= 3)
    assert waiting.is_alive()
    wire.away = False
    waiting.join(30)
    assert job.state == "finished"


def test_an_absence_that_is_too_long_is_reported(wire: Wire) -> None:
    with Client(wire.address, patience=0.3) as client:
        client.datafiles()
        wire.away = True
        with pytest.raises(Unreachable, match="No server answers"):
            client.jobs()
    assert wire.cuts > 1


@pytest.mark.parametrize("size", [0, 2000, 300_000])
def test_an_upload_that_was_cut_off_is_sent_again(
    wired: Client, wire: Wire, server: Server, tmp_path: Path, size: int
) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"0123456789abcde\n" * 2**16)
    wire.requests.append(size)
    assert wired.upload(path) == "large.txt"
    assert wire.cuts == 1
    assert (server.data / "large.txt").read_bytes() == path.read_bytes()


def test_an_upload_whose_answer_was_lost_is_recognized(
    wired: Client, wire: Wire, server: Server
) -> None:
    wire.answers.append(0)
    assert wired.upload(b"a,b\n1,2\n", "x.csv") == "x.csv"
    assert (server.data / "x.csv").read_bytes() == b"a,b\n1,2\n"
    wire.answers.append(0)
    with pytest.raises(Conflict):  # this one is another file
        wired.upload(b"a,b\n1,3\n", "x.csv")


@pytest.mark.parametrize("cut", [0, 1000, 9000])
def test_a_log_is_resumed_where_it_was_cut_off(wired: Client, wire: Wire, cut: int) -> None:
    job = wired.submit("chatter", lines=20_000).wait(progress=False)
    wire.answers.append(cut)
    log = job.log()
    assert wire.cuts == 1
    assert [line for line in log.splitlines() if line.startswith("printed")] == [
        f"printed {number}" for number in range(20_000)
    ]
    wire.answers.append(cut)
    assert "".join(job.log(follow=True)) == log


def test_a_result_that_was_cut_off_is_read_again(wired: Client, wire: Wire) -> None:
    job = wired.run("text_of", size=1_000_000)
    wire.answers.append(600)
    assert len(job.result()) == 1_000_000
    assert wire.cuts == 1


BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def test_a_busy_server_is_asked_again_when_it_says(wire: Wire) -> None:
    with Client(wire.address) as client:
        wire.instead += [BUSY % 0, BUSY % 0]
        assert client.jobs() == []
        assert wire.instead == []
        job = client.run("chatter")
        wire.instead.append(BUSY % 0)
        assert job.log().startswith("printed 0")


def test_a_server_that_stays_busy_is_reported(wire: Wire) -> None:
    with Client(wire.address, patience=0.2) as client:
        wire.instead += [BUSY % 1] * 9
        with pytest.raises(Unavailable, match="503"):
            client.jobs()
