"""The rules of the house: what no reviewer should have to look for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "jobserver").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the package with its number of lines, the docstring not counted."""
    for path in MODULES:
        for node in ast.walk(tree(path)):
            if isinstance(node, Function):
                docstring = ast.get_docstring(node, clean=False)
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                lines -= docstring.count("\n") + 1 if docstring else 0
                yield f"{name_of(path)}:{node.lineno} {node.name}", lines


def test_modules_are_short() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_functions_are_short() -> None:
    lines = dict(functions())
    assert {name: length for name, length in lines.items() if length > 30} == {}
    short = sum(length <= 25 for length in lines.values())
    assert short >= 0.9 * len(lines)


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools", "lib", "core"}
    assert [name_of(path) for path in MODULES + TESTS if path.stem in drawers] == []


def test_every_public_name_has_a_docstring() -> None:
    missing = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in tree(path).body
        if isinstance(node, Function | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert missing == []


def sleeps(path: Path) -> Iterator[str]:
    """Calls of ``sleep`` with a fixed time that is too long for a test."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("sleep"):
            seconds = node.args[0]
            if isinstance(seconds, ast.Constant) and float(str(seconds.value)) > 0.05:
                yield f"{name_of(path)}:{node.lineno} {ast.unparse(node)}"


def test_tests_poll_instead_of_sleeping() -> None:
    assert [line for path in TESTS for line in sleeps(path)] == []


#: Words that the glossary avoids, and what to write instead.
AVOIDED = {"task": "job", "tasks": "jobs", "subtask": "step"}
#: Modules that have to use the words of a library: waitress calls a request a task.
FOREIGN = {"jobserver/server/connections.py", "jobserver/server/threads.py"}


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Every name that a module gives: to itself, to classes, functions, arguments, variables."""
    yield 1, path.stem
    for node in ast.walk(tree(path)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id


def test_names_keep_to_the_glossary() -> None:
    wrong = [
        f"{name_of(path)}:{line} {name}: write {AVOIDED[word.lower()]}"
        for path in MODULES
        if name_of(path) not in FOREIGN
        for line, name in names(path)
        for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)
        if word.lower() in AVOIDED
    ]
    assert wrong == []


def test_glossary_tells_every_state() -> None:
    from jobserver.jobs.job import State

    glossary = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    assert [state for state in State if f"**{state}**" not in glossary] == []


def test_architecture_page_names_every_module() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    modules = {
        path.relative_to(ROOT / "jobserver").parts[0].removesuffix(".py") for path in MODULES
    }
    assert [name for name in modules - {"__init__"} if f"`{name}`" not in page] == []


WEB = {"pandas", "numpy", "dask", "distributed", "httpx", "matplotlib"}
COMMANDS = WEB | {"flask", "werkzeug", "waitress", "pymongo", "bson", "pydantic"}
#: A child has no use for the web, and knows no database; pandas comes with the first hook.
CHILD = WEB | {"flask", "werkzeug", "waitress", "pymongo", "gridfs"}
CHILDS = "child, jobserver.child.attempt, jobserver.child.provenance, jobserver.scripts.registry"


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("app", WEB),
        ("cli", COMMANDS),
        ("client", COMMANDS - {"httpx"}),
        ("home.settings", COMMANDS),
        (CHILDS, CHILD),
    ],
)
def test_start_imports_nothing_heavy(modules: str, heavy: set[str]) -> None:
    code = f"import sys, jobserver.{modules}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert set(result.stdout.split()) & heavy == set()
