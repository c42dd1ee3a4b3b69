"""A new home, and the text of ``config.default``."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from jobserver.errors import SettingsError
from jobserver.home.settings import load, table
from jobserver.home.template import config_text, home_template, make_home

ROOT = Path(__file__).parents[2]


def test_config_default_is_what_the_table_says() -> None:
    kept = (ROOT / "config.default").read_text(encoding="utf-8")
    assert kept == config_text(), "write jobserver.home.template.config_text() to config.default"


def test_config_text_sets_every_setting_once_in_the_order_of_the_table() -> None:
    assert re.findall(r"^    ([A-Z_]+) = ", config_text(), re.MULTILINE) == [
        entry.name for entry, _ in table()
    ]


def test_config_text_helps_with_every_setting() -> None:
    lines = config_text().splitlines()
    missing = [
        entry.name
        for entry, _ in table()
        if lines[[line.startswith(f"    {entry.name} = ") for line in lines].index(True) - 1]
        != f"    # {entry.metadata['help']}"
    ]
    assert missing == []


def test_config_text_is_short_lined_python() -> None:
    assert ast.get_docstring(ast.parse(config_text()))
    assert [line for line in config_text().splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("name", ["default", "development", "production"])
def test_new_home_has_the_defaults(tmp_path: Path, name: str) -> None:
    make_home(tmp_path / "made")
    (tmp_path / "bare").mkdir()
    made, bare = load(tmp_path / "made", name, {}), load(tmp_path / "bare", environ={})
    wrong = [e.name for e, _ in table() if getattr(made, e.name) != getattr(bare, e.name)]
    assert wrong == []


def test_new_home_holds_config_data_and_scripts(tmp_path: Path) -> None:
    home = tmp_path / "some" / "home"
    made = make_home(home)
    assert made == [home / "config.py", home / "data" / "timeseries.csv", home / "scripts"]
    assert (home / "config.py").stat().st_mode & 0o777 == 0o600
    example = (home_template() / "data" / "timeseries.csv").read_bytes()
    assert (home / "data" / "timeseries.csv").read_bytes() == example
    assert list((home / "scripts").iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "timeseries.csv").write_text("mine")
    (tmp_path / "config.py").write_text("class Config: pass")
    assert make_home(tmp_path) == [tmp_path / "scripts"]
    assert make_home(tmp_path) == []
    assert (tmp_path / "config.py").read_text() == "class Config: pass"
    assert (tmp_path / "data" / "timeseries.csv").read_text() == "mine"


def test_a_home_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SettingsError, match=r"home in .*taken"):
        make_home(tmp_path / "taken")
