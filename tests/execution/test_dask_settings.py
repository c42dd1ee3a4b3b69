"""What a Dask worker gets: enough to run jobs as the server would, and no secret."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path

import pytest

from jobserver.errors import SettingsError
from jobserver.execution.dask.worker_settings import WorkerSettings
from jobserver.home.settings import Settings
from jobserver.home.template import make_home

URI = "mongodb://anna:wonderland@db.example.org/jobserver"


@pytest.fixture
def served(tmp_path: Path) -> Settings:
    make_home(tmp_path)
    return Settings(
        home=tmp_path,
        MONGO_URI=URI,
        SECRET_KEY="looking-glass-looking-glass",  # noqa: S106 - no real one
        MAIL_PASSWORD="jabberwock",  # noqa: S106 - no real one
        JOB_TIMEOUT=7.0,
        SCRIPT_MODULES=("statistics",),
        WORKERS=9,
    )


def test_no_secret_goes_with_it(served: Settings) -> None:
    sent = pickle.dumps(asdict(WorkerSettings.from_settings(served)))
    for secret in (b"wonderland", b"looking-glass", b"jabberwock"):
        assert secret not in sent


def test_the_limits_are_the_servers_and_the_slots_the_workers(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSERVER_JOB_TIMEOUT", "1")
    settings = WorkerSettings.from_settings(served).settings(slots=2)
    assert (settings.JOB_TIMEOUT, settings.WORKERS) == (7.0, 2)
    assert settings.SCRIPT_MODULES == ("statistics",)
    assert settings.home == served.home


def test_the_database_is_known_to_the_workers_machine(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = WorkerSettings.from_settings(served)
    with pytest.raises(SettingsError, match="set JOBSERVER_MONGO_URI"):
        server.address(server.settings(slots=1))
    monkeypatch.setenv("JOBSERVER_MONGO_URI", URI)
    assert server.address(server.settings(slots=1)) == URI


def test_an_embedded_database_is_found_on_its_own_machine_only(tmp_path: Path) -> None:
    make_home(tmp_path)
    server = WorkerSettings.from_settings(Settings(home=tmp_path))
    with pytest.raises(SettingsError, match="set MONGO_URI to a MongoDB server"):
        server.address(server.settings(slots=1))


def test_a_worker_may_have_the_home_elsewhere(
    served: Settings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("copy")
    monkeypatch.setenv("JOBSERVER_HOME", str(elsewhere))
    assert WorkerSettings.from_settings(served).settings(slots=1).home == elsewhere


def test_a_server_of_a_later_release_may_send_more(served: Settings) -> None:
    server = WorkerSettings.from_settings(served)
    assert WorkerSettings.received({**asdict(server), "later": 1}) == server


def test_without_a_home_the_settings_are_the_servers(served: Settings, tmp_path: Path) -> None:
    (instead := tmp_path / "instead").mkdir()
    settings = WorkerSettings.from_settings(served).settings(1, instead)
    assert (settings.home, settings.JOB_TIMEOUT) == (instead, 7.0)


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    server = WorkerSettings.from_settings(Settings(home=tmp_path / "elsewhere"))
    with pytest.raises(SettingsError, match=r"elsewhere does not exist.*jobserver init"):
        server.settings(slots=1)
