"""The pages about other languages do what they print.

The blocks of a page are one program, and the texts after them its output.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.examples import ADDRESS, blocks, runs
from tests.support.server import ROOT, Server


@pytest.mark.parametrize(
    ("page", "language", "program", "check"),
    [
        ("from-javascript", "js", "node", "fetch"),
        ("from-r", "r", "Rscript", "library(httr2)"),
    ],
)
def test_a_page_does_what_it_prints(
    server: Server, tmp_path: Path, page: str, language: str, program: str, check: str
) -> None:
    if not runs(program, check):
        pytest.skip(f"{program} is not installed")
    found = blocks(ROOT / "docs" / "how-to" / f"{page}.md")
    path = tmp_path / ("page.mjs" if language == "js" else "page.R")
    text = "\n".join(block.text for block in found if block.kind == language)
    path.write_text(text.replace(ADDRESS, server.address))
    done = subprocess.run(
        [program, path], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(block.text for block in found if block.kind == "text")
