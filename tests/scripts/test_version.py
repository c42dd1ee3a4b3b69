"""The files that a module of scripts depends on, as its source tells."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobserver.scripts.version import files_of

NAMES = ("a", "b", "c", "d", "e")


def write(folder: Path, **sources: str) -> set[str]:
    """Write files, whose names have ``__`` for a folder; their names."""
    names = {f"{name.replace('__', '/')}.py".replace("init", "__init__") for name in sources}
    for name, text in zip(sources, sources.values(), strict=True):
        path = folder / f"{name.replace('__', '/')}.py".replace("init", "__init__")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(text))
    return names


def of(folder: Path, module: str, **sources: str) -> set[str]:
    """The files of a module of a folder with some files."""
    return files_of(folder, module, write(folder, **sources))


def test_a_module_that_imports_nothing_is_its_file(tmp_path: Path) -> None:
    assert of(tmp_path, "a", a="x = 1", b="") == {"a.py"}


def test_a_module_that_lies_elsewhere_has_no_files(tmp_path: Path) -> None:
    assert of(tmp_path, "json", a="") == set()
    assert of(tmp_path, "jobserver.scripts", a="", jobserver="") == {"jobserver.py"}


@pytest.mark.parametrize(
    "line",
    [
        "import b",
        "import b as other",
        "import json, b",
        "from b import x",
        "from b import *",
        "from b import x as y, z",
        "import json; import b",
        "def f():\n    import b",
        "class A:\n    from b import x",
        "try:\n    import b\nexcept ImportError:\n    b = None",
        "if True:\n    pass\nelse:\n    import b",
        "async def f():\n    async with x:\n        import b",
        "f = lambda: 1\nwhile f():\n    from b import x",
        "# -*- coding: latin-1 -*-\nimport b",
    ],
)
def test_an_import_anywhere_counts(tmp_path: Path, line: str) -> None:
    assert of(tmp_path, "a", a=line, b="x = 1", c="import b") == {"a.py", "b.py"}


@pytest.mark.parametrize("line", ["'import b'", "# import b", "import bb", "import b2.b", "b = 1"])
def test_what_looks_like_an_import_does_not(tmp_path: Path, line: str) -> None:
    assert of(tmp_path, "a", a=line, b="") == {"a.py"}


def test_what_is_imported_by_others_counts(tmp_path: Path) -> None:
    found = of(tmp_path, "a", a="import b", b="import c", c="from d import x", d="", e="import a")
    assert found == {"a.py", "b.py", "c.py", "d.py"}


def test_files_that_import_each_other_are_all_found(tmp_path: Path) -> None:
    assert of(tmp_path, "a", a="import b", b="import c", c="import a") == {"a.py", "b.py", "c.py"}


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("import p", {"p/__init__.py"}),
        ("import p.q", {"p/__init__.py", "p/q.py"}),
        ("import p.s.t", {"p/__init__.py", "p/s/__init__.py", "p/s/t.py"}),
        ("from p import q", {"p/__init__.py", "p/q.py"}),
        ("from p import name", {"p/__init__.py"}),
        ("from p.s import t", {"p/__init__.py", "p/s/__init__.py", "p/s/t.py"}),
        ("from p.q import name", {"p/__init__.py", "p/q.py"}),
    ],
)
def test_a_part_of_a_package_needs_what_is_above_it(
    tmp_path: Path, line: str, files: set[str]
) -> None:
    found = of(tmp_path, "a", a=line, p__init="", p__q="", p__r="", p__s__init="", p__s__t="")
    assert found == {"a.py", *files}


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("from . import r", {"p/r.py"}),
        ("from .r import x", {"p/r.py"}),
        ("from .. import b", {"b.py"}),
        ("from ..b import x", {"b.py"}),
        ("from .s import t", {"p/s/__init__.py", "p/s/t.py"}),
        ("from .s.t import x", {"p/s/__init__.py", "p/s/t.py"}),
    ],
)
def test_relative_imports_are_followed(tmp_path: Path, line: str, files: set[str]) -> None:
    sources = {"p__init": "", "p__q": line, "p__r": "", "p__s__init": "", "p__s__t": ""}
    found = of(tmp_path, "a", a="import p.q", b="", **sources)
    assert found >= {"a.py", "p/__init__.py", "p/q.py", *files}
    assert "p/r.py" not in found or "r" in line


def test_a_package_imports_its_own_parts(tmp_path: Path) -> None:
    found = of(tmp_path, "a", a="import p", p__init="from . import q\nfrom .r import x", p__q="",
               p__r="", p__t="")  # fmt: skip
    assert found == {"a.py", "p/__init__.py", "p/q.py", "p/r.py"}


def test_a_folder_without_an_init_file_is_a_package_too(tmp_path: Path) -> None:
    assert of(tmp_path, "a", a="import p.q", p__q="from . import r", p__r="") == {
        *("a.py", "p/q.py", "p/r.py"),
    }


@pytest.mark.parametrize(
    "source",
    [
        b"def f(:",
        b"\xff\xfe import b",
        b"import b\0",
        b"(" * 100_000,
        b"# -*- coding: nonsense -*-\nimport b",
        b"x = " + b"-" * 50_000 + b"1",
    ],
    ids=["syntax", "bytes", "nul", "brackets", "coding", "depth"],
)
def test_a_file_that_cannot_be_read_as_python_is_itself(tmp_path: Path, source: bytes) -> None:
    (tmp_path / "a.py").write_bytes(source)
    assert "a.py" in files_of(tmp_path, "a", {"a.py", "b.py"})


def test_a_file_that_is_gone_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import b")
    assert files_of(tmp_path, "a", {"a.py", "b.py"}) == {"a.py", "b.py"}


def test_names_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    source = "from .... import b\nfrom ...b import x\nfrom . import b"
    assert of(tmp_path, "a", a=source, b="") <= {"a.py", "b.py"}


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1))
def test_the_files_are_those_that_can_be_reached(
    tmp_path_factory: pytest.TempPathFactory, imports: dict[str, set[str]]
) -> None:
    folder = tmp_path_factory.mktemp("scripts")
    for name, others in imports.items():
        (folder / f"{name}.py").write_text("".join(f"import {other}\n" for other in others))
    files = {f"{name}.py" for name in imports}
    for name in imports:
        reached: set[str] = set()
        wanted = [name]
        while wanted:
            if (each := wanted.pop()) in imports and each not in reached:
                reached.add(each)
                wanted += imports[each]
        assert files_of(folder, name, files) == {f"{each}.py" for each in reached}
