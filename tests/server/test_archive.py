"""``jobserver export`` and ``import``: a home in one file, and back."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobserver.storage.embedded import EmbeddedServer
from tests.support.server import MakeServer, run_through

OWN = 'def shout():\n    print("hey")\n    return {"a.b": 1, "$c": None}\n'


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "jobserver", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def add_script(home: Path) -> None:
    (home / "scripts" / "own.py").write_text(OWN)


@pytest.fixture(scope="module")
def exported(
    make_server: MakeServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """An archive of a home with a finished job, its log, stored data and a script."""
    with make_server(prepare=add_script, MONGOD="") as server:
        job = run_through(server.client, script_name="shout", kept="yes")
        assert job["state"] == "finished", job
        data = {"data": [1, 2.5, None], "datatype": "json"}
        assert server.client.put("/data/numbers", json=data).status_code == 201
        home = server.home
    (home / "data" / "more.csv").write_text("a,b\n1,2\n")
    (home / "data" / "no.exe").write_text("not a data file")
    archive = tmp_path_factory.mktemp("archive") / "home.zip"
    done = command("export", archive, "--home", home)
    assert done.returncode == 0, done.stderr
    assert archive.stat().st_mode & 0o777 == 0o600  # it contains the hashes of passwords
    database = EmbeddedServer(home)  # which further commands would start, each for itself
    database.start()
    yield {"archive": archive, "job": job, "home": home}
    database.stop()


def test_a_home_comes_back_from_its_archive(
    exported: dict[str, Any], make_server: MakeServer
) -> None:
    def take_in(home: Path) -> None:
        for file in (home / "data" / "timeseries.csv", home / "scripts" / "trials.py"):
            file.unlink()
        for again in ("; 0 documents", " documents and files already existed"):
            done = command("import", exported["archive"], "--home", home)
            assert done.returncode == 0, done.stderr
            assert again in done.stdout

    with make_server(prepare=take_in, MONGOD="") as server:
        job_id = exported["job"]["_id"]
        assert server.client.get(f"/job/{job_id}?stringify=false").json() == exported["job"]
        assert server.client.get(f"/job/{job_id}/log").text == "hey\n"
        native = server.client.get("/data/numbers?stringify=false").json()
        assert native["data"] == [1, 2.5, None]
        names = [file["name"] for file in server.client.get("/datafiles").json()["files"]]
        assert names == ["more.csv", "timeseries.csv"]
        assert run_through(server.client, script_name="shout")["state"] == "finished"


def test_settings_and_foreign_files_stay_out(exported: dict[str, Any]) -> None:
    with zipfile.ZipFile(exported["archive"]) as archive:
        names = archive.namelist()
    assert not [name for name in names if "config" in name or "no.exe" in name]
    assert "documents/jobs.bson" in names


def test_an_archive_is_not_written_over(exported: dict[str, Any]) -> None:
    before = exported["archive"].read_bytes()
    done = command("export", exported["archive"], "--home", exported["home"])
    assert done.returncode == 2
    assert "already exists" in done.stderr
    assert exported["archive"].read_bytes() == before


@pytest.mark.parametrize(
    "entry", ["files/data/../../evil.csv", "files/scripts/evil.sh", "documents/$evil.bson"]
)
def test_what_cannot_be_is_refused(entry: str, exported: dict[str, Any], tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("jobserver.json", '{"format": 1, "version": "0.2.0"}')
        archive.writestr(entry, b"x")
    done = command("import", bad, "--home", exported["home"])
    assert done.returncode == 2, done.stderr
    assert "contains an invalid" in done.stderr
    assert not list(tmp_path.parent.rglob("evil*"))


def test_a_file_that_is_no_archive_is_refused(exported: dict[str, Any], tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"nothing of the kind")
    done = command("import", bad, "--home", exported["home"])
    assert done.returncode == 2
    assert "not an archive" in done.stderr
