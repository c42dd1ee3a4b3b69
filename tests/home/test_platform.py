"""What a home cannot be served with where its disk is read-only, or its address public."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobserver.errors import SettingsError
from jobserver.home.platform import check_platform
from jobserver.home.settings import Settings


def settings(home: Path, **values: Any) -> Settings:
    """Settings that suit App Engine, and some that may not."""
    suitable = {"LOGIN_REQUIRED": True, "DATAFILE_STORAGE": "gridfs", "MONGO_URI": "mongodb://x"}
    return Settings(home=home, **{**suitable, **values})


@pytest.mark.parametrize(
    ("name", "value"), [("LOGIN_REQUIRED", False), ("DATAFILE_STORAGE", "folder")]
)
def test_app_engine_needs_a_login_and_keeps_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    check_platform(settings(tmp_path, **{name: value}))
    monkeypatch.setenv("GAE_APPLICATION", "s~test")
    check_platform(settings(tmp_path))
    with pytest.raises(SettingsError, match=f"Set JOBSERVER_{name} to"):
        check_platform(settings(tmp_path, **{name: value}))


@pytest.mark.parametrize("name", ["MONGO_URI", "SECRET_KEY"])
def test_a_folder_that_cannot_be_created_stores_nothing(tmp_path: Path, name: str) -> None:
    suitable = {"MONGO_URI": "mongodb://x", "SECRET_KEY": "x" * 16}
    check_platform(settings(tmp_path / "missing", **suitable))
    with pytest.raises(SettingsError, match=f"Set JOBSERVER_{name} to"):
        check_platform(settings(tmp_path / "missing", **{**suitable, name: None}))


def test_a_key_that_is_there_needs_no_writable_disk(tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch()
    check_platform(settings(tmp_path))
