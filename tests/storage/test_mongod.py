"""Which program serves the embedded database, and what is said where one cannot."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from jobserver.errors import SettingsError
from jobserver.storage.embedded import EmbeddedServer, choice, uri_of
from jobserver.storage.embedded.address import LONGEST_PATH
from jobserver.storage.embedded.choice import FALLBACK, choose_engine
from jobserver.storage.embedded.folder import LOG_SIZE, DatabaseFolder
from jobserver.storage.embedded.mongod import candidates, probe

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Linux and macOS only")
Make = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Make:
    """Make an executable shell script to replace mongod."""

    def make(text: str) -> Path:
        path = tmp_path / "mongod"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make


def mongod() -> Path:
    """The first mongod of this machine."""
    return next(candidates())


def insert(home: Path, program: str | None = None) -> None:
    """Make a database in a home, with a document in it."""
    embedded = EmbeddedServer(home, program)
    try:
        with MongoClient[dict[str, Any]](embedded.start()) as client:
            client.jobserver.things.insert_one({"_id": 1})
    finally:
        embedded.stop()


def test_first_mongod_that_runs_is_taken(tmp_path: Path) -> None:
    assert choose_engine(DatabaseFolder(tmp_path), None).name == f"mongod {probe(mongod()).version}"
    assert choose_engine(DatabaseFolder(tmp_path), str(mongod())).kind == "mongod"


@pytest.mark.fallback
def test_fallback_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    assert choose_engine(DatabaseFolder(tmp_path), FALLBACK).name.startswith("SecantusDB ")


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("plain text", 0o755, "not a program for this machine"),
        ("\x7fELF\x01\x02 of another architecture", 0o755, "not a program for this machine"),
        ("#!/bin/sh\necho hello", 0o755, "not MongoDB's mongod"),
        ("#!/bin/sh\necho db version v4.4.29", 0o755, "MongoDB 4.4.29, which is too old.*: 6.0"),
        ("#!/bin/sh\necho db version v6.0.5", 0o644, "may not be executed"),
        ("#!/bin/sh\nkill -ILL $$", 0o755, "needs a processor with AVX"),
    ],
)
def test_program_that_cannot_be_used_is_refused(
    tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    program = tmp_path / "my-mongod"
    program.write_text(content)
    program.chmod(mode)
    with pytest.raises(SettingsError, match=f"MONGOD cannot be used: .*my-mongod .*{reason}"):
        EmbeddedServer(tmp_path, "my-mongod").start()


def test_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nope is not a file"):
        EmbeddedServer(tmp_path, "/nope").start()


@pytest.mark.fallback
def test_missing_library_is_named_with_its_cure_and_the_fallback_serves(
    tmp_path: Path, script: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = script(
        "echo mongod: error while loading shared libraries: libcurl.so.4: cannot open shared "
        "object file: No such file or directory >&2; exit 127"
    )
    monkeypatch.setattr(choice, "candidates", lambda: iter([broken]))
    with caplog.at_level(logging.WARNING):
        engine = choose_engine(DatabaseFolder(tmp_path), None)
    assert engine.kind == "SecantusDB"
    assert "needs libcurl.so.4, which this system lacks. Install" in caplog.text
    assert "SecantusDB serves" in caplog.text


def test_nothing_installed_names_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "secantus", None)
    monkeypatch.setattr(choice, "candidates", lambda: iter(()))
    with pytest.raises(SettingsError, match=r'pip install "jobserver-rest\[embedded\]".*MONGO_URI'):
        EmbeddedServer(tmp_path).start()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fallback
def test_each_kind_refuses_the_files_of_the_other_and_says_how_to_move(tmp_path: Path) -> None:
    for made_by, opened_by in ((FALLBACK, None), (None, FALLBACK)):
        home = tmp_path / str(made_by)
        home.mkdir()
        insert(home, made_by)
        with pytest.raises(SettingsError, match=r"jobserver export --home .*jobserver import"):
            EmbeddedServer(home, opened_by).start()
        either = EmbeddedServer(home, opened_by, any_kind=True)
        try:
            with MongoClient[dict[str, Any]](either.start()) as client:
                assert client.jobserver.things.count_documents({}) == 1
        finally:
            either.stop()


def test_files_of_mongod_are_not_left_to_the_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(tmp_path)
    monkeypatch.setattr(choice, "candidates", lambda: iter(()))
    with pytest.raises(SettingsError, match="needs mongod, which does not run here"):
        EmbeddedServer(tmp_path).start()


@pytest.mark.fallback
def test_files_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    """SecantusDB writes files as a later WiredTiger does than that of MongoDB 6.0."""
    insert(tmp_path, FALLBACK)
    for path in (tmp_path / "db").glob("secantus_*"):
        path.unlink()
    with pytest.raises(SettingsError, match=r"a newer MongoDB wrote its files: .*MONGOD"):
        EmbeddedServer(tmp_path).start()


@pytest.fixture
def far_home(tmp_path: Path) -> Path:
    """A home whose database has a path that no socket may have."""
    home = tmp_path / ("x" * LONGEST_PATH)
    home.mkdir()
    return home


def test_long_path_is_reached_by_a_short_one(far_home: Path) -> None:
    insert(far_home)
    uri = uri_of(far_home)
    assert uri is not None
    assert len(uri) < LONGEST_PATH + 70
    insert_again = EmbeddedServer(far_home)
    try:
        with MongoClient[dict[str, Any]](insert_again.start()) as client:
            assert client.jobserver.things.count_documents({}) == 1
    finally:
        insert_again.stop()


def test_file_system_without_sockets_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("jobserver.storage.embedded.mongod.socket.socket.bind", refuse)
    with pytest.raises(SettingsError, match="does not support Unix sockets"):
        EmbeddedServer(tmp_path).start()


def test_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("")
    with pytest.raises(SettingsError, match=r"cannot use .*db: .*Give this user write permission"):
        EmbeddedServer(tmp_path).start()


def test_log_stays_short(tmp_path: Path) -> None:
    folder = DatabaseFolder(tmp_path)
    folder.prepare()
    log = folder.open_log()
    os.write(log, b"x" * (LOG_SIZE + 1))
    folder.rotate_log()
    os.write(log, b"new")
    os.close(log)
    assert folder.log.read_bytes() == b"new"
    assert stat.S_IMODE(folder.log.with_suffix(".old").stat().st_mode) == 0o600
