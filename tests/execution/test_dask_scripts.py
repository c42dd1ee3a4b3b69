"""Scripts in the database: the same files have one key, and nothing but files comes out."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bson import ObjectId

from jobserver.errors import NotFound, SettingsError
from jobserver.execution.dask import script_archive
from jobserver.execution.dask.script_archive import (
    COLLECTION,
    ScriptArchives,
    ScriptFolders,
    WorkerScripts,
)
from jobserver.execution.dask.worker import MissingFiles
from jobserver.home.settings import Settings
from jobserver.storage.clock import utcnow
from jobserver.storage.database import Database
from jobserver.storage.embedded import EmbeddedServer


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    embedded = EmbeddedServer(tmp_path_factory.mktemp("home"))
    database = Database(embedded.start())
    yield database
    database.close()
    embedded.stop()


@pytest.fixture
def archives(database: Database) -> ScriptArchives:
    for name in ("", ".content.files", ".content.chunks"):
        database[COLLECTION + name].delete_many({})
    return ScriptArchives(database)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    for name, text in {"own.py": "A = 1", "parts/more.py": "B = 2", "parts/table.csv": "1"}.items():
        path = home / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    program = home / "files" / "run.sh"
    program.parent.mkdir()
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    return Settings(home=home, PROCESS_FILE_ALLOWED=True)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_equal_files_have_one_key_and_others_another(settings: Settings, tmp_path: Path) -> None:
    folders = ScriptFolders(settings)
    first = folders.packed()[0]
    own = settings.scripts_path / "own.py"
    own.write_text("A = 1")  # another time
    assert folders.packed()[0] == first
    own.write_text("A = 2")
    assert folders.packed()[0] != first
    own.write_text("A = 1")
    for name in (".hidden.py", "__pycache__/own.pyc", ".git/config"):
        (settings.scripts_path / name).parent.mkdir(exist_ok=True)
        (settings.scripts_path / name).write_text("x")
    assert folders.packed()[0] == first


def test_a_worker_without_them_gets_them(
    settings: Settings, archives: ScriptArchives, tmp_path: Path
) -> None:
    digest, content = ScriptFolders(settings).packed()
    archives.store(digest, content)
    (away := tmp_path / "away").mkdir()
    scripts = WorkerScripts(replace(settings, home=away), digest, archives)
    copy = scripts.settings.scripts_path
    assert contents(copy) == contents(settings.scripts_path)
    assert scripts.settings.files_path is not None
    program = scripts.settings.files_path / "run.sh"
    assert program.stat().st_mode & 0o777 == 0o700
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert scripts.are(digest)
    assert not scripts.are("another")
    scripts.remove()
    assert not copy.exists()


def test_a_worker_with_them_uses_its_own(settings: Settings, archives: ScriptArchives) -> None:
    scripts = WorkerScripts(settings, ScriptFolders(settings).packed()[0], archives)
    assert scripts.settings == settings
    (settings.scripts_path / "own.py").write_text("A = 3")
    assert scripts.are(ScriptFolders(settings).packed()[0])


def test_an_archive_is_stored_once(
    settings: Settings, archives: ScriptArchives, database: Database
) -> None:
    for _ in range(2):
        archives.store(*ScriptFolders(settings).packed())
    for name in (COLLECTION, f"{COLLECTION}.content.files"):
        assert database[name].count_documents({}) == 1
    assert database[f"{COLLECTION}.marks"].count_documents({}) == 0


def test_only_archives_that_no_server_used_for_a_day_are_deleted(
    settings: Settings, archives: ScriptArchives, database: Database, tmp_path: Path
) -> None:
    used, unused = ScriptFolders(settings).packed(), ScriptFolders(Settings(home=tmp_path)).packed()
    old = utcnow() - script_archive.UNUSED
    for digest, content in (used, unused):
        archives.store(digest, content)
    database[COLLECTION].update_many({}, {"$set": {"used": old}})
    assert archives.note_use([used[0]]) == 1
    archives.remove_unused()
    archives.fetch(used[0], tmp_path / "copy")
    with pytest.raises(NotFound):
        archives.fetch(unused[0], tmp_path / "other")
    assert database[f"{COLLECTION}.content.files"].count_documents({}) == 1


def link() -> tarfile.TarInfo:
    member = tarfile.TarInfo("scripts/own.py")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("/scripts/own.py"),
        tarfile.TarInfo("scripts/../../own.py"),
        tarfile.TarInfo("own.py"),
        tarfile.TarInfo("data/own.py"),
        link(),
    ],
)
def test_nothing_but_files_below_its_folders_is_unpacked(
    archives: ScriptArchives, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    archives.store(digest, content)
    with pytest.raises(SettingsError, match=r"own\.py"):
        archives.fetch(digest, tmp_path / "copy")
    assert list(tmp_path.rglob("*")) == []


def test_an_archive_with_another_content_is_not_used(
    settings: Settings, archives: ScriptArchives, tmp_path: Path
) -> None:
    archives.store("0" * 64, ScriptFolders(settings).packed()[1])
    with pytest.raises(SettingsError, match="checksum"):
        archives.fetch("0" * 64, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_worker_without_the_home_says_why_it_has_no_data_files(
    database: Database, settings: Settings
) -> None:
    files = MissingFiles.from_settings(database, settings).for_owner(ObjectId())
    with pytest.raises(NotFound, match="DATAFILE_STORAGE = gridfs"):
        files.as_file("timeseries.csv")


def test_a_folder_with_too_much_is_not_sent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script_archive, "LARGEST", 10)
    with pytest.raises(SettingsError, match="share the home"):
        ScriptFolders(settings).packed()
