from __future__ import annotations

import os
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobserver.errors import SettingsError
from jobserver.home.settings import PREFIX, Settings, load, public_values, table, take_secrets
from tests.support.strategies import fuzzed

CONFIG = """
class Config:
    QUEUE_LIMIT = 5
    SCRIPT_MODULES = ["a", "b"]
    lower = 1

class Production(Config):
    QUEUE_LIMIT = 7

config = {"default": Config, "production": Production}
"""
EXAMPLES: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(10, 10**9),
    float: st.floats(10, 1e9),
    str: st.text(st.characters(exclude_characters="\0"), min_size=1),
    str | None: st.text(min_size=1),
    tuple[str, ...]: st.lists(st.text("abc._", min_size=1)).map(tuple),
}


def test_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, environ={})
    assert loaded == Settings(home=tmp_path)
    assert loaded.MAX_JSON_SIZE == 4 * 1024 * 1024
    assert loaded.MONGO_URI is None
    assert loaded.data_path == tmp_path / "data"
    assert loaded.scripts_path == tmp_path / "scripts"
    assert loaded.workers == os.cpu_count()


def test_defaults_fit_their_own_limits(tmp_path: Path) -> None:
    options = {entry.name: entry.default for entry, _ in table()}
    assert load(tmp_path, environ={}, options=options) == Settings(home=tmp_path)


def test_every_setting_has_a_type_a_help_and_a_default() -> None:
    assert len(list(table())) > 20
    for entry, kind in table():
        assert kind in EXAMPLES, entry.name
        assert entry.metadata["help"].endswith("."), entry.name


def examples(entry: Field[Any], kind: Any) -> st.SearchStrategy[Any]:
    """Values that a setting takes."""
    choices = entry.metadata["choices"]
    return st.sampled_from(choices) if choices else EXAMPLES[kind]


@settings(max_examples=fuzzed(30))
@given(st.fixed_dictionaries({entry.name: examples(entry, kind) for entry, kind in table()}))
def test_values_of_their_type_are_taken_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    home = tmp_path_factory.getbasetemp()
    assert load(home, environ={}, options=values) == Settings(home=home.resolve(), **values)
    plain: dict[str, Any] = {
        name: value for name, value in values.items() if isinstance(value, int | float)
    }
    environ = {PREFIX + name: str(value) for name, value in plain.items()}
    assert load(home, environ=environ) == Settings(home=home.resolve(), **plain)


def test_the_last_one_wins(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(CONFIG)
    environ = {"JOBSERVER_QUEUE_LIMIT": "8", "OTHER_QUEUE_LIMIT": "9"}
    assert load(tmp_path, environ={}).QUEUE_LIMIT == 5
    assert load(tmp_path, "production", environ={}).QUEUE_LIMIT == 7
    assert load(tmp_path, "production", environ=environ).QUEUE_LIMIT == 8
    options = {"QUEUE_LIMIT": 9, "WORKERS": None}
    assert load(tmp_path, "production", environ=environ, options=options).QUEUE_LIMIT == 9


def test_a_class_inherits(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(CONFIG)
    assert load(tmp_path, "production", environ={}).SCRIPT_MODULES == ("a", "b")


def test_a_plain_class_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("class Config:\n    QUEUE_LIMIT = 6\n")
    assert load(tmp_path, environ={}).QUEUE_LIMIT == 6


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", " TRUE "])
def test_true(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, environ={"JOBSERVER_LOGIN_REQUIRED": text}).LOGIN_REQUIRED is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no"])
def test_false(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, environ={"JOBSERVER_STRINGIFY": text}).STRINGIFY is False


def test_lists_and_empty_values_in_the_environment(tmp_path: Path) -> None:
    environ = {"JOBSERVER_SCRIPT_MODULES": "a.b, c,,", "JOBSERVER_MONGO_URI": ""}
    loaded = load(tmp_path, environ=environ)
    assert loaded.SCRIPT_MODULES == ("a.b", "c")
    assert loaded.MONGO_URI is None
    assert load(tmp_path, environ={"JOBSERVER_SCRIPT_MODULES": ""}).SCRIPT_MODULES == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STRINGIFY", "maybe"),
        ("STRINGIFY", ""),
        ("QUEUE_LIMIT", "many"),
        ("QUEUE_LIMIT", "1.5"),
        ("QUEUE_LIMIT", 1.0),
        ("QUEUE_LIMIT", True),
        ("QUEUE_LIMIT", 0),
        ("QUEUE_LIMIT", None),
        ("WORKERS", "-1"),
        ("JOB_TIMEOUT", "nan"),
        ("JOB_TIMEOUT", "-0.1"),
        ("JOB_TIMEOUT", [1]),
        ("EXECUTOR", "carrier pigeon"),
        ("DATA_PATH", ""),
        ("DATA_PATH", 5),
        ("SCRIPT_MODULES", 5),
        ("SCRIPT_MODULES", [5]),
        ("MONGO_URI", 5),
    ],
)
def test_values_that_do_not_fit(tmp_path: Path, name: str, value: object) -> None:
    (tmp_path / "config.py").write_text(f"class Config:\n    {name} = {value!r}\n")
    with pytest.raises(SettingsError, match=f"^{name} is .*\\.$"):
        load(tmp_path, environ={})


@pytest.mark.parametrize("secret", [["mongodb://user:hidden@host"], {"hidden": 1}])
def test_secrets_are_never_repeated(tmp_path: Path, secret: object) -> None:
    (tmp_path / "config.py").write_text(f"class Config:\n    MONGO_URI = {secret!r}\n")
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, environ={})
    assert "hidden" not in str(raised.value)


def test_secrets_are_neither_shown_nor_public(tmp_path: Path) -> None:
    names = {"MONGO_URI", "SECRET_KEY", "MAIL_PASSWORD"}
    loaded = load(tmp_path, environ={}, options=dict.fromkeys(names, "hidden"))
    assert "hidden" not in repr(loaded)
    values = public_values(loaded)
    assert values.keys() == {entry.name for entry, _ in table()} - names
    assert "hidden" not in str(values)


def test_unknown_names_are_reported_with_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("class Config:\n    QEUE_LIMIT = 5\n")
    with pytest.warns(UserWarning, match=r"no setting QEUE_LIMIT.*Did you mean QUEUE_LIMIT"):
        assert load(tmp_path, environ={}).QUEUE_LIMIT == 10_000
    (tmp_path / "config.py").unlink()
    with pytest.warns(UserWarning, match="no setting XYZZY"):
        load(tmp_path, environ={"JOBSERVER_XYZZY": "1"})


@pytest.mark.parametrize("place", ["WORKERS = 3\n{}", "{}\nWORKERS = 3\n"])
def test_a_setting_outside_the_class_is_reported(tmp_path: Path, place: str) -> None:
    inside = "class Config:\n    WORKERS = 2\n"
    (tmp_path / "config.py").write_text(place.format(inside))
    with pytest.warns(UserWarning, match=r"WORKERS in config\.py has no effect.*class Config"):
        assert load(tmp_path, environ={}).WORKERS == 2


def test_a_setting_may_be_named_outside_the_class_that_takes_it(tmp_path: Path) -> None:
    text = "WORKERS = 3\nHALF = 1\n\n\nclass Config:\n    WORKERS = WORKERS\n"
    (tmp_path / "config.py").write_text(text)
    assert load(tmp_path, environ={}).WORKERS == 3


def test_unknown_configurations(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"needs a config\.py"):
        load(tmp_path, "production", environ={})
    (tmp_path / "config.py").write_text(CONFIG)
    with pytest.raises(SettingsError, match="no config 'staging', only: default, production"):
        load(tmp_path, "staging", environ={})


@pytest.mark.parametrize("text", ["class Config", "import nothing_like_it", "1 / 0", "x ="])
def test_a_config_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(SettingsError, match=r"config\.py cannot be read"):
        load(tmp_path, environ={})


def test_no_home(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="jobserver init"):
        load(tmp_path / "nowhere", environ={})


def test_the_home_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load(Path(), environ={}, options={"DATA_PATH": "/elsewhere"})
    assert loaded.home == tmp_path.resolve()
    assert loaded.data_path == Path("/elsewhere")


def test_secrets_leave_the_environment_and_are_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobserver.home.settings._taken", {})
    monkeypatch.setenv("JOBSERVER_SECRET_KEY", "a key of many letters")
    monkeypatch.setenv("JOBSERVER_WORKERS", "3")
    take_secrets()
    assert {"JOBSERVER_SECRET_KEY", "JOBSERVER_WORKERS"} & os.environ.keys() == {
        "JOBSERVER_WORKERS"
    }
    found = load(tmp_path)
    assert (found.SECRET_KEY, found.WORKERS) == ("a key of many letters", 3)
