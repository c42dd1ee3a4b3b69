"""Where address and token come from."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from jobserver.client.access import Access, access_file, find_access, forget_token, keep
from jobserver.errors import SettingsError
from jobserver.home.settings import load

HERE = "https://jobs.example"


def test_without_any_it_is_this_machine() -> None:
    assert find_access() == Access("http://localhost:5000", None)


def test_arguments_come_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(Access(HERE, "kept"))
    assert find_access() == Access(HERE, "kept")
    monkeypatch.setenv("JOBSERVER_TOKEN", "set")
    assert find_access() == Access(HERE, "set")
    assert find_access(token="given") == Access(HERE, "given")  # noqa: S106
    monkeypatch.setenv("JOBSERVER_URL", "https://set.example/")
    assert find_access() == Access("https://set.example", "set")
    assert find_access("https://given.example").url == "https://given.example"


def test_a_kept_token_is_for_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    keep(Access(HERE, "kept"))
    assert find_access("https://jobs.example.evil").token is None
    monkeypatch.setenv("JOBSERVER_URL", f"{HERE}/")
    assert find_access() == Access(HERE, "kept")


def test_a_file_that_others_can_read_is_refused() -> None:
    path = keep(Access(HERE, "secret"))
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        find_access()


@pytest.mark.parametrize("text", ["url = ", "url = 5", 'password = "x"', "\xff"])
def test_a_file_that_cannot_be_read_is_refused(text: str) -> None:
    path = keep(Access(HERE, None))
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"client\.toml"):
        find_access()


def test_a_kept_file_is_replaced() -> None:
    keep(Access(HERE, "old"))
    keep(Access(HERE, 'n"ew\\'))
    assert find_access() == Access(HERE, 'n"ew\\')
    assert [path.name for path in access_file().parent.iterdir()] == ["client.toml"]


def test_a_forgotten_token_leaves_the_address() -> None:
    assert forget_token() is None
    keep(Access(HERE, "kept"))
    assert forget_token() == Access(HERE, "kept")
    assert find_access() == Access(HERE, None)
    assert forget_token() is None


def test_a_server_does_not_take_them_for_settings(tmp_path: Path) -> None:
    (tmp_path / "config.py").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, environ={"JOBSERVER_URL": HERE, "JOBSERVER_TOKEN": "x"})
