"""The documentation does what it prints."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import Reader, blocks, examples, strict_json
from tests.support.server import MakeServer, Server

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("examples/*.md")),
    *(page for page in sorted(ROOT.glob("docs/**/*.md")) if "_build" not in page.parts),
]
WITH_EXAMPLES = [page for page in PAGES if any(examples(page))]
NOT_RUN = re.compile(r"(not run|file): \S")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.fixture
def reader(server: Server, tmp_path: Path) -> Iterator[Reader]:
    """A reader whose scripts are removed afterwards."""
    scripts = server.home / "scripts"
    before = set(scripts.iterdir())
    yield Reader(server.address, server.home, tmp_path)
    for path in set(scripts.iterdir()) - before:
        path.unlink()


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_examples_work_as_printed(page: Path, reader: Reader) -> None:
    assert reader.follow(page) > 0


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_pages_can_be_followed_in_any_order_at_one_home(
    order: str, make_server: MakeServer, tmp_path: Path
) -> None:
    pages = WITH_EXAMPLES[::-1]
    if order == "shuffled":
        random.Random(7).shuffle(pages)  # noqa: S311 - the same order each time
    with make_server(WORKERS=2) as server:
        for page in pages:
            folder = tmp_path / page.stem
            folder.mkdir()
            Reader(server.address, server.home, folder).follow(page)


def test_pages_of_requests_have_examples() -> None:
    expected = {"README", "docs/index", "docs/tutorial/first-hour", "docs/reference/errors"}
    expected |= {f"docs/how-to/{name}" for name in ("jobs", "data", "scripts")}
    assert {name_of(page) for page in WITH_EXAMPLES} >= expected


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_printed_json_is_strict(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "json":
            strict_json(block.text)


def test_a_key_printed_twice_is_refused() -> None:
    with pytest.raises(AssertionError, match="version"):
        strict_json('{"script": {"version": 1, "version": 1}}')


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_not_run_says_why(page: Path) -> None:
    notes = [block.note for block in blocks(page) if block.note]
    assert [note for note in notes if not NOT_RUN.match(note)] == []


def links(page: Path) -> Iterator[str]:
    """Relative targets of a page's links."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            yield target.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob(".github/workflows/*")], ids=name_of)
def test_make_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^\$ |^|`|run: )make ([a-z-]+)", text, re.M))
    assert named <= targets
