"""The app of `deploy/appengine`: a read-only disk, and a MongoDB that asks for a password."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from tests.api.test_event_streams import parsed
from tests.support.app_engine import CLIENT, FILES, ROOM, App, Instance
from tests.support.database import own_database
from tests.support.members import PASSWORD
from tests.support.runs import begin, carry_out, create, read
from tests.support.scripts.instance import SIZE
from tests.support.server import END_SECONDS, ROOT, finished, until

EMAIL = "anna@example.org"
SECRET = "a long text that nobody knows"  # noqa: S105 - nobody uses it
pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An old-style connection string, of a user who may use one database."""
    with own_database(tmp_path_factory.mktemp("mongo") / "own", options=("--auth",)) as database:
        host = f"{database.host}:{database.port}"
        roles = [{"role": "readWrite", "db": "jobserver"}]
        with MongoClient[dict[str, Any]](database.uri) as client:
            client.admin.command("createUser", "root", pwd="root", roles=["root"])  # noqa: S106
        with MongoClient[dict[str, Any]](f"mongodb://root:root@{host}/") as client:
            client.admin.command("createUser", "app", pwd="p@ss/word", roles=roles)  # noqa: S106
        yield f"mongodb://app:p%40ss%2Fword@{host}/jobserver?authSource=admin"


@pytest.fixture(scope="module")
def app(uri: str, tmp_path_factory: pytest.TempPathFactory) -> App:
    """The app, and an account in its database."""
    environ = {"MONGO_URI": uri, "SECRET_KEY": SECRET, "PUBLIC_URL": "https://test.appspot.com"}
    secrets = {f"JOBSERVER_{name}": value for name, value in environ.items()}
    app = App(tmp_path_factory.mktemp("app"), secrets)
    command = ["-m", "jobserver", "user", "add", EMAIL, "--role", "superuser", "--password-stdin"]
    subprocess.run(
        [sys.executable, *command, "--home", app.folder],
        input=PASSWORD.encode(),
        env=os.environ | secrets,
        check=True,
    )
    return app


@pytest.fixture(scope="module")
def instance(app: App) -> Iterator[Instance]:
    with app.instance(WORKERS="2", SHUTDOWN_GRACE="0.5") as instance:
        instance.start()
        yield instance


@pytest.fixture(scope="module")
def client(instance: Instance) -> Iterator[httpx.Client]:
    with instance.client(CLIENT, auth=(EMAIL, PASSWORD)) as client:
        yield client


def test_what_is_deployed_brings_the_wheel_and_no_secret(app: App) -> None:
    lines = (app.folder / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if (app.folder / line).is_file()] == lines[-1:]
    assert "secrets.yaml" in (app.folder / ".gcloudignore").read_text().splitlines()
    kept = [path for path in app.folder.rglob("*") if path.is_file() and path.suffix != ".whl"]
    assert [path.name for path in kept if SECRET in path.read_text()] == ["secrets.yaml"]


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        (None, "is missing: copy"),
        ((FILES / "secrets.example.yaml").read_text(), "Fill them in"),
        ("env_variables: {}", "was not made by this script"),
    ],
    ids=["no secrets", "those of the example", "a folder of somebody else"],
)
def test_what_cannot_be_laid_together_is_said(
    tmp_path: Path, secrets: str | None, problem: str
) -> None:
    (tmp_path / "scripts").mkdir()
    if secrets:
        (tmp_path / "secrets.yaml").write_text(secrets)
    command = [FILES / "build", tmp_path, tmp_path / "scripts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr
    assert list((tmp_path / "scripts").iterdir()) == []


def test_the_four_steps_of_the_guide(client: httpx.Client) -> None:
    content = (ROOT / "data" / "timeseries.csv").read_bytes()
    sent = client.put("/datafile/timeseries.csv", files={"file": content})
    assert (sent.status_code, sent.json()["path"]) == (201, "gridfs/timeseries.csv")
    job_id = client.put("/job", json={"script_name": "summary"}).json()["_id"]
    assert client.post(f"/job/{job_id}", json={"datafile": "timeseries.csv"}).status_code == 200
    assert client.get(f"/job/{job_id}/run").status_code == 202
    assert finished(client, job_id)["result"]["value"]["count"] == 12000


def test_nothing_of_large_results_and_files_stays_in_memory(client: httpx.Client) -> None:
    job = carry_out(client, "large", {"seed": 7})
    assert (job["state"], job["result"]["size"]) == ("finished", SIZE)
    expected = random.Random(7).randbytes(SIZE)  # noqa: S311 - as the script does
    answer = client.get(f"/job/{job['_id']}/result", params={"format": "bin"})
    assert answer.content == expected
    sent = client.put("/datafile/large.txt", content=expected[:20_000_000])
    assert sent.status_code == 201
    assert client.get("/datafile/large.txt/content").content == expected[:20_000_000]
    until(lambda: carry_out(client, "room")["result"] > ROOM - 4_000_000)


def test_an_upload_that_app_engine_would_refuse_is_too_large(client: httpx.Client) -> None:
    refused = client.put("/datafile/huge.txt", content=bytes(33_000_000))
    assert refused.status_code == 413


def test_a_stream_ends_with_its_first_events(client: httpx.Client) -> None:
    """App Engine sends a response on when it is complete."""
    job_id = create(client, "room")
    answer = client.get(f"/job/{job_id}/events", timeout=10)
    assert [kind for _, kind, _ in parsed(iter(answer.text.split("\n")))] == ["state"]


def test_scripts_cannot_read_the_secrets(client: httpx.Client) -> None:
    assert carry_out(client, "spy")["error"] == "PermissionError"


def test_nobody_but_app_engine_stops_an_instance(instance: Instance) -> None:
    refused = instance.ask("stop", CLIENT)
    assert (refused.status_code, refused.json()["status"]) == (404, 404)
    assert instance.ask("health", CLIENT).status_code == 200


def test_a_stopped_instance_leaves_its_jobs_to_the_next(
    app: App, instance: Instance, client: httpx.Client
) -> None:
    cut = begin(client, "patient")
    tried = begin(client, "patient", {"retries": 1})
    waiting = create(client, "room")
    assert instance.ask("stop").status_code == 200
    assert client.post(f"/job/{waiting}/run").status_code == 503
    assert instance.ask("health").status_code == 503
    job = read(client, cut)
    assert (job["state"], job["error"]) == ("failed", "Interrupted")
    assert job["message"] == "interrupted: App Engine stopped the instance that ran it"
    assert read(client, tried)["state"] == "queued"
    instance.terminate()
    with app.instance() as following:
        following.start()
        with following.client(CLIENT, auth=(EMAIL, PASSWORD)) as other:
            assert finished(other, tried)["result"] == 2
            assert other.post(f"/job/{waiting}/run").status_code == 202
        following.terminate()


@pytest.mark.parametrize("name", ["MONGO_URI", "SECRET_KEY"])
def test_what_an_instance_lacks_is_said_at_its_start(app: App, name: str) -> None:
    with app.instance(**{name: None}) as instance:
        assert instance.process.wait(END_SECONDS) == 3
        errors = [line for line in instance.log.splitlines() if "[ERROR] " in line]
        assert f"Set JOBSERVER_{name} to " in errors[0]
        assert "Traceback" not in instance.log
