"""The documentation does what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import Reader, blocks, examples
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_EXAMPLES = [page for page in PAGES if any(examples(page))]
NOT_RUN = re.compile(r"(not run|file): \S")


@pytest.fixture
def reader(server: Server, tmp_path: Path) -> Iterator[Reader]:
    """A reader whose scripts are taken away afterwards."""
    scripts = server.home / "scripts"
    before = set(scripts.iterdir())
    yield Reader(server.address, server.home, tmp_path)
    for path in set(scripts.iterdir()) - before:
        path.unlink()


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.stem)
def test_examples_work_as_printed(page: Path, reader: Reader) -> None:
    assert reader.follow(page) > 0


def test_pages_of_requests_have_examples() -> None:
    assert {page.stem for page in WITH_EXAMPLES} >= {"README", "guide", "scripts", "errors"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_says_why(page: Path) -> None:
    notes = [block.note for block in blocks(page) if block.note]
    assert [note for note in notes if not NOT_RUN.match(note)] == []


def links(page: Path) -> Iterator[str]:
    """Relative addresses that a page links to."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^\$ |^|`)make ([a-z-]+)", text, re.M))
    assert named <= targets
