"""The commands that talk to a server."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from jobserver.cli import main
from jobserver.client import Client
from jobserver.client.access import Access, access_file, find_access
from tests.support.members import PASSWORD, Members
from tests.support.server import ROOT, Server, until
from tests.support.wire import wire_to

Command = Callable[..., Result]
HOSTILE = "\x1b]0;owned\x07<b>\x9b31m"
SHOWN = "␛]0;owned␇<b>\ufffd31m"


@pytest.fixture(autouse=True)
def own_access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No address and no token of whoever runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("JOBSERVER_URL", "JOBSERVER_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(server: Server, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command."""
    monkeypatch.setenv("JOBSERVER_URL", server.address)

    def run(*arguments: str | Path, text: str | None = None) -> Result:
        return CliRunner().invoke(main, [str(each) for each in arguments], input=text)

    return run


@pytest.fixture
def jobs(server: Server) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client


def on_terminal(*arguments: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "jobserver", *arguments], stdout=theirs, cwd=ROOT
    ) as process:
        os.close(theirs)
        printed = b""
        try:
            while piece := os.read(ours, 65536):
                printed += piece
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    return printed.decode()


def test_a_job_is_submitted_and_waited_for(command: Command, jobs: Client) -> None:
    done = command("submit", "add", "-p", "a=1", "-p", "b=2", "--field", "note=hi", "--wait")
    assert done.exit_code == 0
    job = jobs.job(done.stdout.strip())
    assert job.result() == 3
    assert job.document["note"] == "hi"


def test_a_value_is_json_or_else_text(command: Command, jobs: Client) -> None:
    values = ["n=1.5", "yes=true", "word=true story", 'text="1"', "zeros=007", "nan=NaN", "e==="]
    options = [word for value in values for word in ("--field", value)]
    document = jobs.job(command("submit", "noop", *options).stdout.strip()).document
    expected = {"n": 1.5, "yes": True, "word": "true story", "text": "1", "zeros": "007"}
    assert {name: document[name] for name in expected} == expected
    assert (document["nan"], document["e"]) == ("NaN", "==")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["submit"], "SCRIPT"),
        (["submit", "add", "-p", "a"], "NAME=VALUE"),
        (["submit", "add", "-p", "a=1", "-p", "a=2"], "given twice"),
        (["submit", "add", "--data", "none.csv"], "does not exist"),
        (["submit", "add", "--data", "setup.py", "--datafile", "x.csv"], "not both"),
        (["submit", "add", "-p", "a=1e999"], "JSON"),
        (["submit", "add", "--datafile", "x.csv", "--field", "raw_data=1"], "not both"),
        (["submit", "add", "--option", "skip=1"], "--datafile"),
        (["submit", "add", "--datafile", "x.csv", "--option", "name=y"], "name"),
        (["result", "x", "-o", "x.pdf"], "--format"),
        (["ps", "--state", "lost"], "lost"),
        (["ps", "--url", "nowhere"], "is not an address"),
        (["result", "x", "--format", "doc"], "doc"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_a_wrong_use_exits_with_2(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(ROOT)
    done = command(*arguments)
    assert done.exit_code == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_job_exits_with_1(command: Command) -> None:
    done = command("submit", "fail", "-p", f"text={HOSTILE}", "--wait")
    assert done.exit_code == 1
    assert "failed: ValueError" in done.stderr
    assert SHOWN in done.stderr
    assert "\x1b" not in done.stderr
    assert command("result", done.stdout.strip()).exit_code == 1


def test_a_refusal_exits_with_3_and_every_reason(command: Command, jobs: Client) -> None:
    done = command("submit", "add", "-p", "c=1", "--datafile", "none.csv")
    assert done.exit_code == 3
    assert "kwargs.c" in done.stderr
    assert "none.csv" in done.stderr
    assert jobs.jobs() == []
    assert command("logs", "nobody").exit_code == 3
    assert "There is no job nobody" in command("result", "nobody").stderr


def test_a_server_that_is_away_exits_with_3(command: Command) -> None:
    done = command("ps", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 3
    assert "No server answers at http://127.0.0.1:9" in done.stderr


def test_jobs_are_listed(command: Command, jobs: Client) -> None:
    assert command("ps").stdout.split() == [
        "ID",
        "STATE",
        "SCRIPT",
        "CREATED",
        "SECONDS",
        "MESSAGE",
    ]
    done = jobs.run("add", a=1)
    failed = jobs.submit("fail", text=f"{HOSTILE}\nsecond").wait()
    _, first, second = command("ps").stdout.splitlines()
    assert first.split()[:3] == [failed.id, "failed", "fail"]
    assert first.endswith(f"ValueError: {SHOWN} second")
    assert second.split()[:3] == [done.id, "finished", "add"]
    listed = json.loads(command("ps", "--json", "--state", "finished", "--limit", "5").stdout)
    assert [each["_id"] for each in listed] == [done.id]
    assert json.loads(command("ps", "--json", "--script", "none").stdout) == []


def test_a_log_is_printed_as_it_is_unless_on_a_terminal(
    command: Command, jobs: Client, server: Server
) -> None:
    job = jobs.submit("fail", text=HOSTILE).wait()
    assert f"ValueError: {HOSTILE}" in command("logs", job.id).stdout
    shown = on_terminal("logs", job.id, "--url", server.address)
    assert f"ValueError: {SHOWN}" in shown
    assert "\x1b" not in shown


def test_a_log_is_followed(command: Command, jobs: Client) -> None:
    job = jobs.submit("chatter", lines=3)
    assert command("logs", "-f", job.id).stdout == job.log()
    lines = command("logs", "--json", job.id).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"id": job.id, "log": job.log()}]


def test_a_line_of_a_megabyte_is_printed(command: Command, jobs: Client) -> None:
    job = jobs.submit("fail", text="x" * 1_000_000).wait()
    assert "x" * 1_000_000 in command("logs", job.id).stdout
    assert command("logs", job.id).stdout == job.log()
    assert len(command("ps").stdout) < 1000


def test_a_result_has_the_format_that_is_asked_for(
    command: Command, jobs: Client, tmp_path: Path
) -> None:
    job = jobs.run("summary", datafile="timeseries.csv")
    assert json.loads(command("result", job.id).stdout)["value"]["count"] == 12000
    assert command("result", job.id, "--format", "csv").stdout.splitlines()[1] == "count,12000.0"
    assert command("result", job.id, "-o", tmp_path / "a.csv").exit_code == 0
    assert pd.read_csv(tmp_path / "a.csv", index_col=0).loc["count", "value"] == 12000
    assert command("result", job.id, "-o", tmp_path / "a.parquet").exit_code == 0
    assert (tmp_path / "a.parquet").read_bytes().startswith(b"PAR1")
    assert command("result", job.id, "-o", tmp_path / "b", "--format", "xlsx").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet", "b"]
    assert command("result", job.id, "--format", "parquet").stdout_bytes.startswith(b"PAR1")


def test_a_result_that_cannot_be_written_leaves_the_old_file(
    command: Command, jobs: Client, tmp_path: Path
) -> None:
    job, path = jobs.run("echo", raw_data="text"), tmp_path / "kept.csv"
    path.write_text("old")
    assert command("result", job.id, "-o", path).exit_code == 3  # a text is no csv
    assert path.read_text() == "old"
    assert command("result", job.id, "-o", tmp_path / "none" / "x.txt").exit_code == 1
    assert [each.name for each in tmp_path.iterdir()] == ["kept.csv"]


def test_jobs_are_cancelled(command: Command, jobs: Client) -> None:
    held, ended = jobs.submit("hold"), jobs.run("noop")
    done = command("cancel", held.id, "nobody", ended.id)
    assert done.exit_code == 3
    assert "There is no job nobody" in done.stderr
    assert f"{ended.id} is finished" in done.stdout
    assert held.wait(20).state == "cancelled"
    again = command("cancel", "--json", held.id)
    assert json.loads(again.stdout) == {"id": held.id, "state": "cancelled"}


def test_files_are_uploaded(command: Command, jobs: Client, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("value\n1\n2\n")
    assert command("upload", tmp_path / "b.csv").exit_code == 0
    done = command("upload", "--json", tmp_path / "b.csv", tmp_path / "a.csv")
    assert done.exit_code == 3  # b.csv is there already
    assert json.loads(done.stdout) == {"name": "a.csv", "size": 10}
    assert len(jobs.datafiles()) == 3
    assert command("submit", "summary", "--datafile", "a.csv", "--wait").exit_code == 0
    assert command("submit", "summary", "--data", tmp_path / "a.csv", "--wait").exit_code == 0


def test_a_file_that_can_be_read_in_two_ways_is_read_with_an_option(
    command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "pegel.csv"
    path.write_text("Tag;Abfluss\n01.02.2020;1.250\n02.02.2020;1.350\n")
    submit = ("submit", "summary", "--data", path, "-p", "column=Abfluss", "--wait")
    doubted = command(*submit)
    assert doubted.exit_code == 1
    assert "--option NAME=VALUE" in doubted.stderr
    wrong = command(*submit, "--option", "decimal=x")
    assert wrong.exit_code == 3
    assert "data.decimal" in wrong.stderr
    done = command(*submit, "--option", "thousands=.", "--option", "missing=[1350]")
    assert done.exit_code == 0
    shown = json.loads(command("result", done.stdout.strip()).stdout)
    assert (shown["Abfluss"]["count"], shown["Abfluss"]["mean"]) == (1, 1250)


def test_a_log_is_followed_through_a_lost_connection(jobs: Client, server: Server) -> None:
    job = jobs.submit("chatter", lines=20_000).wait()
    with wire_to(server.port) as wire:
        wire.answers.extend([10_000, 9000])
        done = CliRunner().invoke(main, ["logs", "-f", job.id, "--url", wire.address])
        assert wire.cuts == 2
    assert done.stdout == job.log()


def test_a_login_keeps_a_token_for_its_server(members: Members) -> None:
    member, address = members.add(), members.server.address
    login = ("login", "--url", address, "--email", member.email, "--password-stdin")
    wrong = CliRunner().invoke(main, login, input="not the password\n")
    assert wrong.exit_code == 3
    assert not access_file().exists()
    refused = CliRunner().invoke(main, ["ps", "--url", address])
    assert refused.exit_code == 3
    assert "jobserver login" in refused.stderr
    done = CliRunner().invoke(main, login, input=f"{PASSWORD}\n")
    assert done.exit_code == 0
    assert PASSWORD not in done.stdout
    assert stat.S_IMODE(access_file().stat().st_mode) == 0o600
    token = find_access().token
    assert token
    assert token not in done.stdout
    assert find_access("http://other.example").token is None
    assert CliRunner().invoke(main, ["submit", "add", "-p", "a=1", "--wait"]).exit_code == 0
    with Client() as client:
        (mine,) = client.jobs()
        assert mine.refresh().document["_owner"] == member.id
    assert f"{address}/ui/account" in CliRunner().invoke(main, ["logout"]).stdout
    assert find_access() == Access(address, None)
    assert "No token" in CliRunner().invoke(main, ["logout"]).stdout


def test_a_server_without_login_needs_none(command: Command, server: Server) -> None:
    assert command("login").exit_code == 0
    assert find_access().url == server.address
    assert find_access().token is None


def test_help_groups_the_commands() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert shown.index("Home") < shown.index("  run ") < shown.index("Jobs of any server")
    assert shown.index("Jobs of any server") < shown.index("  submit ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(command: Command, shell: str) -> None:
    assert "_JOBSERVER_COMPLETE" in command("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [("submit summ", "plain,summary"), ("ps --state fin", "plain,finished"), ("logs ", "plain,")],
)
def test_names_and_ids_are_completed(
    command: Command, jobs: Client, monkeypatch: pytest.MonkeyPatch, words: str, offered: str
) -> None:
    job = jobs.run("noop")
    monkeypatch.setenv("_JOBSERVER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"jobserver {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    done = CliRunner().invoke(main, prog_name="jobserver")
    assert done.stdout.split() == [offered if words != "logs " else f"plain,{job.id}"]
    monkeypatch.setenv("JOBSERVER_URL", "http://127.0.0.1:9")
    away = CliRunner().invoke(main, prog_name="jobserver")
    assert away.stdout.split() == (["plain,finished"] if "--state" in words else [])


def test_an_interrupted_wait_leaves_the_job_running(server: Server, jobs: Client) -> None:
    wait = [sys.executable, "-m", "jobserver", "submit", "hold", "--wait", "--url", server.address]
    with subprocess.Popen(
        wait, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        job = jobs.job(process.stdout.readline().decode().strip())
        process.send_signal(2)
        assert process.wait(20) == 1
    assert until(lambda: job.refresh().state == "running")
    job.cancel().wait()
