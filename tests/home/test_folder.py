"""A home's folder: what makes it one, and who can read it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobserver.errors import SettingsError
from jobserver.home.folder import check_home, warn_if_exposed
from jobserver.home.settings import Settings
from jobserver.home.template import make_home


@pytest.mark.parametrize("sign", ["config.py", "config.default", "data", "scripts", "db"])
def test_each_part_makes_a_folder_a_home(tmp_path: Path, sign: str) -> None:
    with pytest.raises(SettingsError, match="jobserver init"):
        check_home(tmp_path)
    (tmp_path / sign).mkdir()
    check_home(tmp_path)


def test_the_current_folder_is_a_home_or_empty(tmp_path: Path) -> None:
    check_home(tmp_path, is_named=False)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match="jobserver init"):
        check_home(tmp_path, is_named=False)
    (tmp_path / "scripts").mkdir()
    check_home(tmp_path, is_named=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home in a folder that all users can enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        make_home(Path(folder))
        yield Path(folder)


def test_what_others_can_read_is_told_with_the_command_that_mends_it(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder in (home, home / "data", home / "scripts"):
        folder.chmod(0o755)
    warn_if_exposed(Settings(home=home))
    assert f"chmod -R go= {home}/data {home}/scripts" in caplog.text
    assert "config.py" not in caplog.text
    caplog.clear()
    home.chmod(0o700)
    warn_if_exposed(Settings(home=home))
    assert caplog.text == ""
