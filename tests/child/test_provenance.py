"""What runs depend on: reported by untrusted children, from files that change."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

from jobserver.child.provenance import provenance
from jobserver.execution.supervision.child_messages import parse_provenance
from jobserver.scripts.registry import Registry, ScriptSources
from jobserver.system.disk import checksum

REGISTRY = Registry.load(ScriptSources(None))
PLAIN = {
    "script": {"type": "function", "name": "summary", "version": "0" * 64},
    "packages": {"python": "3.11.2"},
    "data": {"sha256": "1" * 64, "size": 5},
}


def spec(name: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"script": {"name": name}, "data": data}


def sent(message: dict[str, Any]) -> RawBSONDocument:
    """A message as it comes from a child."""
    return RawBSONDocument(bson.encode(message))


def test_what_is_told_is_taken_over() -> None:
    assert parse_provenance(sent({"provenance": PLAIN})) == PLAIN
    steps = {"script": {"type": "pipeline", "steps": [PLAIN["script"]] * 300}, "packages": {}}
    assert (
        parse_provenance(sent({"provenance": steps}))["script"]["steps"] == [PLAIN["script"]] * 200
    )


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"provenance": 5},
        {"provenance": []},
        {"provenance": {"script": [], "packages": "x", "data": 5}},
        {"provenance": {"script": {"steps": 5}, "data": {"size": "x"}}},
    ],
)
def test_what_has_another_form_is_left_out(message: dict[str, Any]) -> None:
    assert parse_provenance(sent(message)) == {"script": {}, "packages": {}}


@given(
    st.dictionaries(
        st.text(max_size=5).filter(lambda key: "\0" not in key),
        st.text(max_size=400) | st.integers(-5, 5) | st.none(),
        max_size=5,
    )
)
def test_what_is_told_can_be_stored(texts: dict[str, Any]) -> None:
    texts["$set.x"] = "a" * 1000
    message = sent({"provenance": {"script": texts, "packages": texts, "data": texts}})
    found = parse_provenance(message)
    assert bson.decode(bson.encode(found)) == found
    assert found["packages"]["setx"] == "a" * 200
    for key, value in found["packages"].items():
        assert key
        assert not set(key) & set("$.\0")
        assert len(value) <= 200


def test_what_is_gone_is_left_out(tmp_path: Path) -> None:
    found = provenance(REGISTRY, **spec("nothing", {"path": str(tmp_path / "gone.csv")}))
    assert found["script"] == {}
    assert "data" not in found
    assert set(found["packages"]) == {"python", "jobserver", "numpy", "pandas"}


def test_each_kind_of_data_has_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a\n1\n")
    expected = {"sha256": hashlib.sha256(b"a\n1\n").hexdigest(), "size": 4}
    for name in ("path", "stored"):
        assert provenance(REGISTRY, **spec("summary", {name: str(path)}))["data"] == expected
    raw = provenance(REGISTRY, **spec("summary", {"value": None}))["data"]
    assert raw == {"sha256": hashlib.sha256(b"null").hexdigest(), "size": 4}


def test_a_script_made_of_others_comes_from_all_of_theirs() -> None:
    inner = {"type": "map", "script": {"name": "plot"}, "over": [1]}
    named = {"type": "map", "name": "summary", "over": [1]}
    steps = ["summary", {"name": "summary"}, {"type": "eval", "code": "1"}, inner, named]
    whole: dict[str, Any] = {"script": {"type": "pipeline", "steps": steps * 100}, "data": None}
    found = provenance(REGISTRY, **whole)
    assert found["script"]["type"] == "pipeline"
    names = [step.get("name", step["type"]) for step in found["script"]["steps"]]
    assert names == ["summary", "eval", "plot"]
    assert "matplotlib" in found["packages"]
    assert (
        parse_provenance(sent({"provenance": found}))["script"]["steps"] == found["script"]["steps"]
    )


def test_packages_of_a_script_are_those_that_its_file_imports() -> None:
    assert "matplotlib" in provenance(REGISTRY, **spec("plot"))["packages"]
    assert "matplotlib" not in provenance(REGISTRY, **spec("summary"))["packages"]


def test_a_checksum_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for number, content in enumerate((b"one", b"two", b"three")):
        path.write_bytes(content)
        os.utime(path, ns=(number, number))
        assert checksum(path) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_checksum_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    os.utime(path, ns=(5, 5))
    first = checksum(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(5, 5))
    assert checksum(path) == first  # neither size nor time reveal the change
