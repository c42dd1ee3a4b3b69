from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.errors import JobNotRunnable
from jobserver.scripts.loading import explain, stamps
from jobserver.scripts.registry import Registry, ScriptSources
from jobserver.scripts.wording import shortened, without_paths

Load = Callable[..., Registry]
SHIPPED = ["baseflow", "flow_duration_curve", "gaps", "plot", "resample", "return_periods"]
SHIPPED += ["rolling", "water_balance"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = list(sys.path)
    (tmp_path / "scripts").mkdir()
    yield (tmp_path / "scripts").resolve()
    sys.path[:] = path
    _forget(tmp_path.resolve())


def _forget(folder: Path) -> None:
    """Import nothing of a folder that was imported before: each load has a process of its own."""
    for name, module in list(sys.modules.items()):
        if str(folder) in str(getattr(module, "__dict__", {}).get("__file__")):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def load(folder: Path) -> Load:
    def write_and_load(*modules: str, **files: str) -> Registry:
        _forget(folder)
        for stem, text in files.items():
            (folder / f"{stem}.py").write_text(text)
        return Registry.load(ScriptSources(folder, modules))

    return write_and_load


def names(registry: Registry) -> list[str]:
    """The scripts that there are; of those that are shipped only summary."""
    return [name for name in all_names(registry) if name not in SHIPPED]


def all_names(registry: Registry) -> list[str]:
    return [script["name"] for script in registry.describe()["scripts"]]


def errors(registry: Registry) -> dict[str, str]:
    return {each["module"]: each["error"] for each in registry.describe()["errors"]}


def refusal(registry: Registry, name: object) -> str:
    with pytest.raises(JobNotRunnable) as caught:
        registry.lookup(name)
    assert [problem.field for problem in caught.value.errors] == ["script.name"]
    return caught.value.message


def test_without_a_folder_there_is_what_is_shipped() -> None:
    assert all_names(Registry.load(ScriptSources(None))) == sorted([*SHIPPED, "summary"])
    assert all_names(Registry.load(ScriptSources(Path("no/such/folder")))) == sorted(
        [*SHIPPED, "summary"]
    )


def test_public_functions_defined_in_a_file_are_scripts(load: Load) -> None:
    registry = load(
        hydro="""
import functools
from os.path import join
from json import *

def shout(func):
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return func(*args, **kwargs).upper()
    return wrapper

@shout
def decorated(word: str): return word

@functools.cache
def cached(n: int): return n

double = lambda n: 2 * n
class Thing: pass
class Wrapper: __wrapped__ = double
thing, number = Thing(), 5
def _private(): pass
def on_init(app): pass
"""
    )
    assert names(registry) == ["cached", "decorated", "double", "shout", "summary"]
    assert errors(registry) == {}
    script = registry.lookup("decorated")
    args, kwargs = script.bind(["rain"], {})
    assert script.func(*args, **kwargs) == "RAIN"
    assert (script.name, script.module) == ("decorated", "hydro")


def test_only_files_that_are_modules_are_loaded(load: Load, folder: Path) -> None:
    (folder / ".#hydro.py").symlink_to("nowhere")
    (folder / ".hidden.py").write_text("def hidden(): pass")
    (folder / "package.py").mkdir()
    (folder / "notes.txt").write_text("def text(): pass")
    (folder / "my-script.py").write_text("def mine(): pass")
    (folder / os.fsdecode(b"\xff.py")).write_text("def unprintable(): pass")
    registry = load(_helper="def helped(): pass")
    assert names(registry) == ["mine", "summary"]
    assert registry.lookup("my-script.mine") is registry.lookup("mine")


def test_a_name_used_twice_needs_its_module(load: Load) -> None:
    registry = load(
        first="def common(): return 1\ndef alone(): pass", second="def common(): return 2"
    )
    assert names(registry) == ["alone", "first.common", "second.common", "summary"]
    assert "use first.common or second.common" in refusal(registry, "common")
    assert registry.lookup("first.common").func() == 1
    assert registry.lookup("second.common").func() == 2
    assert registry.lookup("first.alone") is registry.lookup("alone")


def test_a_shipped_name_is_not_taken_over_in_silence(load: Load) -> None:
    registry = load(mine="def summary(): return 'mine'")
    assert "jobserver.scripts.summary or mine.summary" in refusal(registry, "summary")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import math\nimport nope_nope", "ModuleNotFoundError: No module named 'nope_nope'"),
        ("x = 1\n1 / 0", "ZeroDivisionError: division by zero"),
        ("\nraise SystemExit(3)", "SystemExit: 3"),
        ("\nraise KeyboardInterrupt", "KeyboardInterrupt"),
        ("\nimport json; json.loads('{')", "JSONDecodeError: Expecting property name enclosed"),
        ("\nopen('/no/such/place.csv')", "FileNotFoundError: [Errno 2] No such file"),
        ("\nraise ValueError('\\ud800')", "ValueError: ?"),
        ("x = 1\ndef (:", "SyntaxError: invalid syntax"),
        ("x = 1\nx = '\\0'\n\0", "SyntaxError: source code string cannot contain null bytes"),
        (
            "class Odd(Exception):\n def __str__(self): return 1/0\nraise Odd",
            "Odd: <exception str() failed>",
        ),
    ],
)
def test_a_broken_file_is_told_about_and_breaks_nothing_else(
    load: Load, folder: Path, code: str, message: str
) -> None:
    registry = load(broken=code, works="def fine(): return 1")
    assert names(registry) == ["fine", "summary"]
    assert errors(registry)["broken"].startswith(message)
    assert str(folder) not in errors(registry)["broken"]
    json.dumps(registry.describe(), ensure_ascii=False).encode()
    assert "Modules with errors: broken" in refusal(registry, "brokn")


def test_an_error_names_the_line_in_the_users_file(load: Load) -> None:
    registry = load(
        a_syntax="x = 1\ndef (:",
        a_library="import json\n\njson.loads('{')",
        a_helper="import _help",
        _help="\n\n\n1 / 0",
    )
    found = errors(registry)
    assert found["a_syntax"].endswith("(a_syntax.py, line 2)")
    assert found["a_library"].endswith("(a_library.py, line 3)")
    assert found["a_helper"].endswith("(_help.py, line 4)")


def test_a_module_that_cannot_be_imported_is_told_about(load: Load) -> None:
    registry = load("no_such_module", "os.path.nope", "", ".relative")
    assert set(errors(registry)) == {"no_such_module", "os.path.nope", "", ".relative"}
    assert errors(registry)["no_such_module"] == (
        "ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_a_folder_that_is_none_is_told_about(tmp_path: Path) -> None:
    (tmp_path / "scripts").write_text("")
    registry = Registry.load(ScriptSources(tmp_path / "scripts"))
    assert names(registry) == ["summary"]
    assert "folder cannot be read" in errors(registry)["scripts"]


@pytest.mark.parametrize("body", ["return 1", "yield 1"])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_script_may_be_async_and_yield(load: Load, kind: str, body: str) -> None:
    registry = load(later=f"{kind} fetch(n: int, m: float = 2.5):\n    'Fetch.'\n    {body}")
    assert names(registry) == ["fetch", "summary"]
    assert errors(registry) == {}
    described = registry.lookup("fetch").describe()
    assert described["description"] == "Fetch."
    assert described["parameters"]["required"] == ["n"]
    assert described["parameters"]["properties"]["m"] == {"default": 2.5, "type": "number"}


def test_a_function_that_tells_no_signature_breaks_nothing_else(load: Load) -> None:
    registry = load(odd="def odd(): pass\nodd.__signature__ = 5\ndef fine(): pass")
    assert names(registry) == ["fine", "summary"]
    assert errors(registry)["odd"].startswith("odd: TypeError: unexpected object 5")


def test_a_file_named_like_an_installed_module_harms_none(load: Load) -> None:
    import random

    registry = load(
        json="def dumps(x): return 'mine'",
        random="def dice(): return 4",
        sys="def argv(): return []",
        pandas="def frame(): return __name__",
    )
    assert errors(registry) == {}
    assert registry.lookup("json.dumps").func(1) == "mine"
    assert registry.lookup("dice").func() == 4
    assert registry.lookup("frame").module == "pandas"
    assert sys.modules["json"] is json
    assert json.dumps([1]) == "[1]"
    assert sys.modules["random"] is random
    import pandas as pd

    assert len(pd.DataFrame([1])) == 1


def test_scripts_share_one_copy_of_what_they_import(load: Load) -> None:
    registry = load(
        aaa="import state_keeper\ndef bump():\n state_keeper.count += 1",
        state_keeper="count = 0\ndef seen(): return count",
        zzz="from state_keeper import seen\ndef seen_too(): return seen()",
    )
    assert names(registry) == ["bump", "seen", "seen_too", "summary"]
    registry.lookup("bump").func()
    assert registry.lookup("seen").func() == registry.lookup("seen_too").func() == 1


def test_a_file_that_failed_is_not_left_half_imported(load: Load) -> None:
    registry = load(
        aaa="early = 1\nraise ValueError('late')", bbb="from aaa import early\ndef f(): pass"
    )
    assert errors(registry) == {
        "aaa": "ValueError: late (aaa.py, line 2)",
        "bbb": "ValueError: late (aaa.py, line 2)",
    }


def test_a_file_named_like_a_module_made_by_hand_harms_none(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = ModuleType("made_by_hand")
    monkeypatch.setitem(sys.modules, "made_by_hand", by_hand)
    registry = load(made_by_hand="def f(): return 'mine'")
    assert registry.lookup("made_by_hand.f").func() == "mine"
    assert sys.modules["made_by_hand"] is by_hand


def test_circular_imports_of_files_work(load: Load) -> None:
    registry = load(
        ring_a="import ring_b\ndef a(): return ring_b.b()",
        ring_b="import ring_a\ndef b(): return ring_a.__name__",
    )
    assert registry.lookup("a").func() == "ring_a"


def test_the_folder_comes_last_on_the_path_and_stays_clean(
    load: Load, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load(clean="def f(): pass")
    load(clean="def f(): pass")
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1
    assert [path.name for path in folder.iterdir()] == ["clean.py"]


def test_two_edits_within_a_second_are_both_seen(
    load: Load, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for value in (1, 2):
        (folder / "edited.py").write_text(f"def f(): return {value}")
        os.utime(folder / "edited.py", ns=(10**18, 10**18 + value))
        assert load().lookup("f").func() == value


def test_changes_are_noticed_and_loaded(load: Load, folder: Path) -> None:
    registry = load(change="import _part\ndef f(): return _part.value + 1", _part="value = 1")
    assert registry.lookup("f").func() == 2
    seen = stamps(folder)
    assert stamps(folder) == seen

    os.utime(folder / "_part.py", ns=(1, 1))
    assert stamps(folder) != seen
    (folder / "_part.py").write_text("value = 100")
    assert load().lookup("f").func() == 101

    seen = stamps(folder)
    (folder / "change.py").write_text("def f(): return 2")
    assert stamps(folder) != seen
    registry = load()
    assert registry.lookup("f").func() == 2
    (folder / "change.py").write_text("def f(): return 3")
    assert load().lookup("f").func() == 3

    seen = stamps(folder)
    (folder / "change.py").unlink()
    assert stamps(folder) != seen
    assert "unknown" in refusal(load(), "f")


def test_changes_in_packages_of_the_folder_are_noticed(load: Load, folder: Path) -> None:
    inner = folder / "own_library" / "deeper"
    inner.mkdir(parents=True)
    (inner / "core.py").write_text("value = 1")
    registry = load(uses="from own_library.deeper.core import value\ndef f(): return value")
    assert registry.lookup("f").func() == 1
    seen = stamps(folder)
    (inner / "core.py").write_text("value = 2 + 0")
    assert stamps(folder) != seen
    registry = load()
    assert registry.lookup("f").func() == 2
    assert "core" not in {script["module"] for script in registry.describe()["scripts"]}


def test_what_is_no_script_does_not_count_as_a_change(load: Load, folder: Path) -> None:
    load(steady="def f(): pass")
    seen = stamps(folder)
    (folder / "notes.txt").write_text("hello")
    assert stamps(folder) == seen
    assert stamps(None) == {}


def test_looking_for_changes_is_cheap(load: Load, folder: Path) -> None:
    load(**{f"script{number}": "def f(): pass" for number in range(20)})
    fastest = min(_seconds(partial(stamps, folder)) for _ in range(20))
    assert fastest < 0.002


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_modules_are_imported_by_name(load: Load, folder: Path) -> None:
    package = folder.parent / "elsewhere" / "installed_hydro"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from installed_hydro.inner import offered, kept\n"
        "from os.path import join\n__all__ = ('offered', 'join')\ndef own(): pass"
    )
    (package / "inner.py").write_text("def offered(): pass\ndef kept(): pass")
    sys.path.append(str(package.parent))
    registry = load("installed_hydro")
    assert names(registry) == ["offered", "own", "summary"]
    assert registry.lookup("installed_hydro.own").module == "installed_hydro"


def test_entry_points_are_modules_too(load: Load, folder: Path) -> None:
    installed = folder.parent / "installed-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[jobserver.scripts]\na = json\nb = x:y\n")
    sys.path.append(str(folder.parent))
    registry = load("json")
    assert registry.lookup("json.dumps").func is json.dumps
    assert errors(registry) == {"x:y": "ModuleNotFoundError: No module named 'x:y'"}


def test_two_modules_of_one_name_are_told_about(load: Load, folder: Path) -> None:
    registry = load("json", json="def mine(): pass")
    assert "another module has this name" in errors(registry)["json"]
    assert registry.lookup("json.mine").name == "mine"


def test_every_hook_is_called_and_none_can_break_the_start(load: Load) -> None:
    registry = load(
        good="def on_init(app): app.seen.append('good')",
        broken="def on_init(app): raise SystemExit('no')\ndef f(): pass",
        borrowed="from good import on_init",
        value="on_init = 5",
    )
    app: Any = SimpleNamespace(seen=[], runs=True)
    registry.run_on_init(app)
    assert app.seen == ["good"]
    assert errors(registry) == {"broken": "on_init: SystemExit: no (broken.py, line 1)"}
    assert registry.lookup("f").name == "f"


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "__import__", "builtins.eval", "eval", "exec", "__class__", "_helper"),
        *("../x", "/etc/passwd", "summary\0", "summary()", "summary ", " summary", "Summary"),
        *("jobserver.scripts.registry", "jobserver.scripts.on_init", "on_init", "Registry"),
        *(
            "jobserver.scripts.shipped.timeseries.summary",
            "timeseries",
            "summary.__globals__",
            "..",
            ".",
        ),
        *("", "*", "%s", "{}", "\ud800", "\u202eyrammus", "x" * 10_000, "a.b" * 5_000, "\n" * 99),
    ],
)
def test_hostile_names_are_unknown_names(name: str) -> None:
    message = refusal(Registry.load(ScriptSources(None)), name)
    assert message.startswith("The script '")
    assert "is unknown." in message
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize("name", [None, 5, True, 1.5, ["summary"], {"name": "summary"}])
def test_what_is_no_text_is_no_name(name: object) -> None:
    assert "is unknown" in refusal(Registry.load(ScriptSources(None)), name)


@given(st.text())
def test_no_text_but_a_name_finds_a_script(name: str) -> None:
    registry = _shipped()
    short = name.removeprefix("jobserver.scripts.")
    if short in (*SHIPPED, "summary"):
        assert registry.lookup(name).name == short
    else:
        assert refusal(registry, name).isprintable()


def _shipped() -> Registry:
    modules = {"jobserver.scripts": sys.modules["jobserver.scripts"]}
    return Registry(ScriptSources(None), modules, [])


def test_close_names_are_suggested(load: Load) -> None:
    registry = load(one="def twin(): pass", two="def twin(): pass")
    assert "Did you mean summary?" in refusal(registry, "sumary")
    assert "Did you mean one.twin or two.twin?" in refusal(registry, "onn.twin")
    assert "GET /scripts lists them" in refusal(registry, "completely else")


def test_sources_come_from_text() -> None:
    assert ScriptSources.from_settings("a/b", ["c"]) == ScriptSources(Path("a/b"), ("c",))
    assert ScriptSources.from_settings(None) == ScriptSources(None)


def test_the_package_of_scripts_is_light() -> None:
    code = "import sys, jobserver.scripts; print(sorted({'pandas', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("No such file: '/home/me/data/x.csv'", "No such file: 'x.csv'"),
        ("from 'helper' (/srv/scripts/helper.py)", "from 'helper' (helper.py)"),
        ("/a/b /c/d/", "b d"),
        ("C:\\Users\\me\\x.csv is gone", "x.csv is gone"),
        ("5 km/h, see https://example.org/a/b, ./x and a/b", None),
        ("invalid escape sequence '\\d'", None),
        ("", None),
    ],
)
def test_messages_lose_their_paths(text: str, clean: str | None) -> None:
    assert without_paths(text) == (text if clean is None else clean)


@given(st.recursive(st.text() | st.integers(), st.lists) | st.binary())
def test_what_is_shown_is_short_and_printable(value: object) -> None:
    assert shortened(value).isprintable()
    assert len(shortened("x" * 10_000)) <= 60


def test_an_error_without_a_message_or_place_is_explained() -> None:
    assert explain(ValueError(), None) == "ValueError"
    assert len(explain(ValueError("x" * 10_000), None)) < 600
