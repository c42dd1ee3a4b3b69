"""The reference lists every setting, request, field and command; the explanation, every module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field
from pathlib import Path
from typing import Any

import click
import pytest

from docs import picture
from jobserver import __version__
from jobserver.api.framework import openapi
from jobserver.app import BLUEPRINTS
from jobserver.cli.commands import main
from jobserver.data.files import EXTENSIONS
from jobserver.home.settings import table
from jobserver.jobs.job import PRIVATE, SERVER_FIELDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
KINDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    str | None: "text or none",
    tuple[str, ...]: "list of texts",
}


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def rows(text: str, pattern: str) -> list[str]:
    """Return the rows of tables whose first cell matches a pattern."""
    return re.findall(rf"^\| `{pattern}` \|.*$", text, re.MULTILINE)


def setting_row(entry: Field[Any], kind: Any) -> str:
    choices = ", ".join(f"`{choice}`" for choice in entry.metadata["choices"])
    default = "none" if entry.default in (None, ()) else f"`{str(entry.default).lower()}`"
    what = f"one of {choices}" if choices else KINDS[kind]
    return f"| `{entry.name}` | {what} | {default} | {entry.metadata['help']} |"


def test_settings_are_those_of_the_table() -> None:
    expected = [setting_row(entry, kind) for entry, kind in table()]
    assert sorted(rows(page("reference/settings"), "[A-Z_]+")) == sorted(expected)


def test_settings_without_effect_are_listed() -> None:
    sources = (path.read_text("utf-8") for path in (ROOT / "jobserver").rglob("*.py"))
    used = set(re.findall(r"\.([A-Z_]+)\b", "".join(sources)))
    idle = page("reference/settings").partition("## Without effect")[2]
    names = {entry.name for entry, _ in table()}
    assert set(re.findall(r"^\| `([A-Z_]+)`", idle, re.MULTILINE)) == names - used


Request = tuple[str, list[str]]


def declared() -> Iterator[Request]:
    """Yield each request with the names of its parameters, from the OpenAPI document."""
    assert BLUEPRINTS  # importing them declares the endpoints
    for path, operations in openapi.document()["paths"].items():
        address = path.replace("{", "<").replace("}", ">")
        for summary in {each["summary"] for each in operations.values()}:
            alike = [name for name, each in operations.items() if each["summary"] == summary]
            given = operations[alike[0]]["parameters"]
            query = [each["name"] for each in given if each["in"] == "query"]
            yield f"{', '.join(alike).upper()} {address}", query


def documented(text: str) -> Iterator[Request]:
    """Yield each request in the tables of a page with the names of its parameters."""
    for request, parameters in re.findall(r"^\| `([A-Z, ]+ /.*?)` \| (.*?)\|", text, re.MULTILINE):
        yield request, re.findall(r"`(\w+)`", parameters)


def test_requests_are_those_of_the_server() -> None:
    assert sorted(documented(page("reference/http-api"))) == sorted(declared())


def test_codes_are_listed() -> None:
    operations = (each for path in openapi.document()["paths"].values() for each in path.values())
    codes = {code for each in operations for code in each["responses"] if code >= "400"}
    assert codes - set(re.findall(r"^\| (\d+) \|", page("reference/errors"), re.MULTILINE)) == set()


def test_failures_are_those_of_the_server() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "jobserver").rglob("*.py"))
    names = re.findall(r"^\| `([A-Z]\w+)` \|", page("reference/errors"), re.MULTILINE)
    assert len(names) > 4
    assert [name for name in names if not re.search(rf'"{name}"|class {name}\(', sources)] == []


def test_fields_of_the_server_are_listed() -> None:
    text = page("reference/job")
    assert [name for name in SERVER_FIELDS - {PRIVATE} if f"| `{name}` |" not in text] == []


def test_extensions_are_listed() -> None:
    assert [name for name in EXTENSIONS if f"`{name}`" not in page("how-to/data")] == []


@pytest.mark.parametrize("name", sorted(main.commands))
def test_commands_are_listed(name: str) -> None:
    assert f"| `jobserver {name}" in page("reference/commands")
    assert isinstance(main.commands[name], click.Command)


def test_modules_that_the_explanation_names_exist() -> None:
    pages = [page(f"explanation/{name}") for name in ("architecture", "runs", "storage")]
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", "".join(pages)))
    assert len(named) > 20
    folders = (ROOT / "jobserver", ROOT)
    assert [name for name in named if not any((top / name).exists() for top in folders)] == []


def test_the_picture_has_no_arrow_up_and_few_boxes() -> None:
    found = picture.imports()
    rows_of = {box: row for row, boxes in enumerate(picture.layers()) for box in boxes}
    assert found.keys() == rows_of.keys()
    assert len(found) <= 24
    up = [(box, other) for box in found for other in found[box] if rows_of[box] >= rows_of[other]]
    assert up == []


def test_the_picture_is_up_to_date() -> None:
    drawn = picture.svg(picture.layers(), picture.imports())
    assert picture.PICTURE.read_text("utf-8") == drawn, "run: make docs"


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
