"""The Python client against a real server."""

from __future__ import annotations

import io
import sys
import threading
from contextlib import redirect_stderr
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from jobserver.client import Client, Job, JobFailed, Unreachable
from jobserver.client.account import needs_login
from jobserver.errors import (
    ApiError,
    Conflict,
    JobNotRunnable,
    JobserverError,
    NotFound,
    SettingsError,
)
from tests.support.members import Members
from tests.support.server import Server, until


def test_a_run_gives_a_table(jobs: Client) -> None:
    result = jobs.run("summary", datafile="timeseries.csv").result()
    assert isinstance(result, pd.DataFrame)
    assert result.loc["count", "value"] == 12000.0
    assert result["value"].dtype == "float64"


def test_parameters_are_keywords(jobs: Client) -> None:
    assert jobs.run("add", a=1, b=40).result() == 41
    assert jobs.run("add", parameters={"a": 1}, b=3).result() == 4
    with pytest.raises(TypeError, match="a are given twice"):
        jobs.run("add", parameters={"a": 1}, a=2)


def test_fields_of_the_job_are_apart_from_parameters(jobs: Client) -> None:
    job = jobs.run("add", a=1, fields={"seed": 7, "note": "mine"})
    assert job.document["seed"] == 7
    assert job.document["note"] == "mine"


def test_one_kind_of_data_is_bound(jobs: Client) -> None:
    with pytest.raises(TypeError, match="one kind of data"):
        jobs.submit("echo", data=[1], datafile="timeseries.csv")
    with pytest.raises(TypeError, match="raw_data and"):
        jobs.submit("echo", raw_data=[1], fields={"datafile": "timeseries.csv"})
    assert jobs.jobs() == []


def test_a_pipeline_is_run(jobs: Client) -> None:
    steps = {"type": "pipeline", "steps": ["echo", "summary"]}
    result = jobs.run(steps, datafile="timeseries.csv").result()
    assert result.loc["count", "value"] == 12000.0


def test_a_map_is_one_job(jobs: Client) -> None:
    job = jobs.map("add", range(3), b=10)
    assert job.result() == [10, 11, 12]
    assert len(jobs.jobs()) == 1
    assert jobs.map({"type": "pipeline", "steps": ["echo"]}, [1, 2]).result() == [1, 2]


def test_a_submitted_job_is_waited_for_by_its_result(jobs: Client) -> None:
    job = jobs.submit("chatter", lines=2)
    assert job.state in ("queued", "running", "finished")
    assert job.result() is None
    assert job.state == "finished"
    assert job.url == f"{jobs.url}/job/{job.id}"


def test_a_wait_ends_in_time(jobs: Client, server: Server) -> None:
    job = jobs.submit("hold")
    with pytest.raises(TimeoutError, match=job.id):
        job.wait(0.2)
    (server.home / "gate").touch()
    assert job.wait(20).state == "finished"


def test_a_job_that_was_never_started_is_not_waited_for(jobs: Client, server: Server) -> None:
    job = jobs.job(server.client.put("/job", json={"script_name": "noop"}).json()["_id"])
    with pytest.raises(JobserverError, match="not been started"):
        job.wait()
    assert job.start().wait().state == "finished"


def test_a_failure_is_raised_with_the_end_of_the_log(jobs: Client) -> None:
    with pytest.raises(JobFailed) as caught:
        jobs.run("fail", text="no <data>")
    failure = caught.value
    assert (failure.state, failure.error) == ("failed", "ValueError")
    assert failure.message == "ValueError: no <data>"
    assert "Traceback" in failure.log
    assert failure.log in str(failure)
    with pytest.raises(JobFailed):
        jobs.job(failure.job_id).result()


def test_a_cancelled_job_has_no_result(jobs: Client) -> None:
    job = jobs.submit("hold").cancel().wait()
    assert job.state == "cancelled"
    with pytest.raises(JobFailed, match="was cancelled"):
        job.result()
    assert job.cancel().state == "cancelled"


def test_a_job_that_cannot_run_leaves_nothing(jobs: Client) -> None:
    with pytest.raises(JobNotRunnable) as caught:
        jobs.submit("add", c=1, datafile="none.csv")
    assert caught.value.status == 422
    assert {problem.field for problem in caught.value.errors} >= {"kwargs.c", "datafile"}
    assert any("kwargs.c" in note for note in caught.value.__notes__)
    assert "POST" not in str(caught.value)  # the job is gone
    assert jobs.jobs() == []


def test_a_refusal_has_the_servers_message(jobs: Client) -> None:
    with pytest.raises(NotFound, match="There is no job abc") as caught:
        jobs.job("abc")
    assert caught.value.status == 404
    with pytest.raises(JobserverError):
        jobs.job("../info")


def test_jobs_are_listed_newest_first(jobs: Client) -> None:
    made = [jobs.run("add", a=n).id for n in range(3)]
    with pytest.raises(JobFailed):
        jobs.run("fail")
    assert [job.id for job in jobs.jobs(state="finished")] == made[::-1]
    assert [job.id for job in jobs.jobs(script="add", limit=2)] == made[:0:-1]
    (failed,) = jobs.jobs(matching={"error": "ValueError"})
    assert (failed.script, failed.state) == ("fail", "failed")
    assert jobs.jobs(limit=0) == []
    assert jobs.jobs()[-1].result() == 2


def test_lists_of_several_pages_are_read(jobs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobserver.client.client._PAGE", 2)
    for number in range(5):
        jobs.submit("add", a=number)
    assert len({job.id for job in jobs.jobs()}) == 5
    assert len(jobs.jobs(limit=3)) == 3


def test_a_rerun_is_another_job(jobs: Client) -> None:
    job = jobs.run("echo", raw_data=[1])
    again = job.rerun(raw_data=[2])
    assert again.id != job.id
    assert again.result() == [2]
    assert again.document["rerun_of"] == job.id


def test_a_deleted_job_is_gone(jobs: Client) -> None:
    job = jobs.run("noop")
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


def test_a_log_is_followed_to_its_end(jobs: Client) -> None:
    job = jobs.submit("chatter", lines=500)
    followed = "".join(job.log(follow=True))
    assert followed == job.log()
    assert followed.startswith("printed 0\n")
    assert "printed 499\n" in followed
    assert "logged" in followed


def test_scripts_and_files_are_listed(jobs: Client) -> None:
    assert "summary" in [script["name"] for script in jobs.scripts()]
    assert [file["name"] for file in jobs.datafiles()] == ["timeseries.csv"]


def test_a_file_is_uploaded_and_never_replaced(jobs: Client, tmp_path: Path) -> None:
    path = tmp_path / "Pegel Köln.csv"
    path.write_text("date,value\n2020-01-01,1.5\n2020-01-02,2\n")
    seen: list[tuple[int, int]] = []
    assert jobs.upload(path, sent=lambda done, size: seen.append((done, size))) == path.name
    assert seen[-1] == (path.stat().st_size,) * 2
    assert jobs.run("summary", datafile=path.name).result().loc["mean", "value"] == 1.75
    with pytest.raises(Conflict):
        jobs.upload(path)
    assert jobs.upload(b"a,b\n1,2\n", "x.csv") == "x.csv"
    with pytest.raises(TypeError, match="name"):
        jobs.upload(b"a")


def test_a_path_as_data_is_uploaded_once(jobs: Client, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("value\n1\n2\n")
    for _ in range(2):
        assert jobs.run("summary", data=path).result().loc["count", "value"] == 2
    names = [file["name"] for file in jobs.datafiles()]
    assert len(names) == 2
    assert any(name.startswith("q-") and name.endswith(".csv") for name in names)


def test_a_path_that_the_server_has_is_read_with_its_kept_options(
    jobs: Client, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "pegel.csv"
    path.write_text("Tag;Abfluss\n01.02.2020;1.250\n02.02.2020;1.350\n")
    jobs.upload(path)
    server.client.post("/datafile/pegel.csv", json={"options": {"thousands": "."}})
    assert jobs.run("summary", data=path, column="Abfluss").result().loc["mean", "Abfluss"] == 1300
    assert len(jobs.datafiles()) == 2
    path.write_text("Tag;Abfluss\n01.02.2020;1.250\n02.02.2020;1.450\n")  # as large
    own = jobs.run("summary", data=path, options={"decimal": "."}, column="Abfluss")
    assert own.result().loc["mean", "Abfluss"] == 1.35
    assert own.document["data"]["name"].startswith("pegel-")


def test_options_say_how_data_is_read(jobs: Client) -> None:
    jobs.upload(b"value\n1\n-999\n", "x.csv")
    job = jobs.run("summary", datafile="x.csv", options={"missing": [-999]})
    assert job.result().loc["count", "value"] == 1
    with pytest.raises(TypeError, match="give data"):
        jobs.submit("noop", options={"skip": 1})
    with pytest.raises(ValueError, match="Not an option"):
        jobs.submit("echo", datafile="x.csv", options={"name": "y.csv"})
    bound = {"type": "datafile", "name": "x.csv", "skip": 0}
    with pytest.raises(ValueError, match="twice"):
        jobs.submit("echo", data=bound, options={"skip": 1})
    assert len(jobs.jobs()) == 1


def test_the_name_of_a_file_is_not_taken_for_data(jobs: Client, tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.touch()
    with pytest.raises(TypeError, match=r"Path.*datafile="):
        jobs.submit("echo", data=str(path))
    assert jobs.jobs() == []
    assert jobs.run("echo", data="x" * 5000).result() == "x" * 5000
    assert jobs.run("echo", raw_data=str(path)).result() == str(path)


def test_what_is_no_json_is_refused_before_anything_is_sent(jobs: Client) -> None:
    with pytest.raises(ValueError, match="NaN"):
        jobs.submit("echo", raw_data=[float("nan")])
    with pytest.raises(TypeError, match="object"):
        jobs.submit("echo", raw_data=object())
    assert jobs.jobs() == []


def test_an_address_without_a_server_is_reported_at_once() -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"),
    ):
        client.jobs()


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://x", "http://", "http://a:b@c"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Client(url)


@pytest.mark.parametrize("token", ["a b", "a\n", "ä", "a\x00"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="token"):
        Client(token=token)


def test_no_bar_is_shown_where_nobody_sees_it(jobs: Client) -> None:
    with redirect_stderr(io.StringIO()) as shown:
        jobs.run("advance")
    assert shown.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_without_codes_of_the_script(
    jobs: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.submit("hold")
    until(lambda: job.refresh().state == "running")
    read = job._read

    def read_once(seconds: float) -> None:
        (server.home / "gate").touch()
        read(10)
        job.document |= {"progress": 0.5, "message": "[red]half\x1b]0;title\x07"}

    monkeypatch.setattr(job, "_read", read_once)
    with redirect_stderr(Terminal()) as terminal:
        job.wait()
    assert "[red]half␛]0;title␇" in terminal.getvalue()


def test_a_job_is_html_in_a_notebook(jobs: Client) -> None:
    document: dict[str, Any] = {
        "_id": "x",
        "state": "failed",
        "message": "<script>alert(1)</script>",
    }
    shown = Job(jobs._connection, {**document, "script": {"name": "<b>"}})._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown


class Cell:
    """What IPython gives for what it shows."""

    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, content: str) -> None:
        self.shown.append(content)


def test_a_notebook_shows_a_job_while_it_runs(
    jobs: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPython is not a dependency: this stands for the four names of it that are used."""
    shown: list[str] = []

    def display(content: str, *, display_id: bool) -> Cell:
        shown.append(content)
        return Cell(shown)

    ipython = ModuleType("IPython")
    shell = SimpleNamespace(kernel=object())
    vars(ipython).update(get_ipython=lambda: shell)
    screen = ModuleType("IPython.display")
    vars(screen).update(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", screen)
    job = jobs.submit("hold")
    (server.home / "gate").touch()
    job.wait()
    assert len(shown) > 1
    assert "<td>finished</td>" in shown[-1]


def test_a_job_of_yours_that_cannot_run_stays(jobs: Client, server: Server) -> None:
    job = jobs.job(server.client.put("/job", json={"script_name": "none"}).json()["_id"])
    with pytest.raises(JobNotRunnable):
        job.start()
    assert job.refresh().state == "created"


class Elsewhere(BaseHTTPRequestHandler):
    """A server that is no Jobserver."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith(("/job", "/login")) else 502)
        self.end_headers()
        answers = {"/jobs": b"[]", "/job/": b"<html>", "/login": b"{}"}
        self.wfile.write(next((answers[p] for p in answers if self.path.startswith(p)), b"gone"))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_another_server_is_recognized() -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            for request in (client.jobs, lambda: client.job("x"), lambda: needs_login(client.url)):
                with pytest.raises(Unreachable, match="no Jobserver"):
                    request()
            with pytest.raises(ApiError, match="502, and not from a Jobserver: gone") as caught:
                client.scripts()
        assert caught.value.status == 502
        server.shutdown()


def test_a_token_that_may_not_read_uploads_a_path(members: Members, tmp_path: Path) -> None:
    member, path = members.add(), tmp_path / "q.csv"
    path.write_text("value\n1\n")
    made = member.client.put(
        f"/user/{member.id}/tokens", json={"name": "nightly", "scopes": ["write", "run"]}
    )
    with Client(members.server.address, made.json()["token"]) as client:
        assert client.submit("summary", data=path).document["datafile"].startswith("q-")
