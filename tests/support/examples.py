"""Run the examples of a page of documentation, and compare their output with what it prints.

Each ``sh`` or ``python`` block is run as it is, unless a comment before it says why not:
``<!-- not run: it installs packages -->``. The block after it, in ``json`` or ``text``, is its
output. A block with ``<!-- file: scripts/rivers.py -->`` before it is written to that file of the
home.

An id on the page stands for the real id, a time for any time, and so do checksums and versions of
packages. Numbers may differ in their last digits. In ``text``, a line ``...`` stands for any lines.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

ADDRESS = "http://localhost:5000"
DEADLINE_SECONDS = 15
_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n+)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.M
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d(?::|%3A)\d\d(?::|%3A)\d\d(?:\.\d+)?Z?")
_ID = re.compile(r"\b[0-9a-f]{24}\b")
_SUM = re.compile(r"\b[0-9a-f]{64}\b")
_LINE = re.compile(r"\bline \d+")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    kind : str
        Its language.
    text : str
        Its content.
    note : str
        The comment before it; empty if there is none.
    line : int
        The line it starts on.
    """

    kind: str
    text: str
    note: str
    line: int

    @property
    def file(self) -> str:
        """The file of the home that it shows; empty if it is not a file."""
        return self.note.partition("file: ")[2]

    @property
    def only_reads(self) -> bool:
        """Whether running it again changes nothing."""
        return self.kind == "sh" and not re.search(r" -[XF]|/run\b|>", self.text)


def blocks(page: Path) -> list[Block]:
    """Return all fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match["kind"], match["text"], match["note"] or "", text.count("\n", 0, match.start()))
        for match in _BLOCK.finditer(text)
    ]


def examples(page: Path) -> Iterator[tuple[Block, Block | None]]:
    """Yield each block to run or write, with the output that the page prints."""
    found = blocks(page)
    for block, following in zip_longest(found, found[1:]):
        if block.file:
            yield block, None
        elif block.kind in ("sh", "python") and not block.note:
            is_answer = following is not None and following.kind in ("json", "text")
            yield block, following if is_answer and not following.note else None


def strict_json(text: str) -> Any:
    """Parse JSON; raise AssertionError if a key occurs twice in an object."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert len(set(keys)) == len(keys), f"a key occurs twice: {keys}"
        return dict(pairs)

    return json.loads(text, object_pairs_hook=unique)


class Reader:
    """A reader who types what a page says.

    Parameters
    ----------
    address : str
        Address of the server, replacing the documented one.
    home : Path
        Home of the server.
    folder : Path
        Working folder of the reader.
    """

    def __init__(self, address: str, home: Path, folder: Path) -> None:
        self._address = address
        self._home = home
        self._folder = folder
        self._ids: dict[str, str] = {}

    def follow(self, page: Path) -> int:
        """Run all examples of a page, compare, and return their number."""
        found = list(examples(page))
        for block, answer in found:
            if block.file:
                (self._home / block.file).write_text(block.text)
            else:
                self._try(block, answer, f"{page.name}, line {block.line}")
        return len(found)

    def _try(self, block: Block, answer: Block | None, where: str) -> None:
        """Run an example; repeat one that only reads until its output matches."""
        deadline = time.monotonic() + (DEADLINE_SECONDS if block.only_reads else 0)
        while True:
            output = self._run(block, where)
            try:
                if answer is not None:
                    self._compare(answer, output, where)
            except AssertionError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def _run(self, block: Block, where: str) -> str:
        text = block.text.replace(ADDRESS, self._address)
        for printed, real in self._ids.items():
            text = text.replace(printed, real)
        shell = ["bash", "-euo", "pipefail", "-c"] if block.kind == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, text],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{where}: {done.stderr}"
        return done.stdout

    def _compare(self, answer: Block, output: str, where: str) -> None:
        if answer.kind == "json":
            self._equal(strict_json(answer.text), strict_json(output), where)
        else:
            assert re.fullmatch(_pattern(answer.text), _masked(output).rstrip(), re.DOTALL), (
                f"{where}: {output}"
            )

    def _equal(self, printed: Any, real: Any, where: str) -> None:
        """Compare two JSON values, and remember which id stands for which."""
        if isinstance(printed, dict) and isinstance(real, dict):
            assert list(printed) == list(real), where
            for key, value in printed.items():
                self._equal(value, real[key], f"{where}: {key}")
        elif isinstance(printed, list) and isinstance(real, list):
            assert len(printed) == len(real), where
            for index, value in enumerate(printed):
                self._equal(value, real[index], f"{where}: {index}")
        else:
            self._equal_leaves(printed, real, where)

    def _equal_leaves(self, printed: Any, real: Any, where: str) -> None:
        assert type(printed) is type(real), f"{where}: {real!r}"
        if ": packages: " in where or where.endswith(": provenance: seed"):
            return
        for old, new in zip(_ID.findall(str(printed)), _ID.findall(str(real)), strict=False):
            assert self._ids.setdefault(old, new) == new, where
        numbers = [number for value in (printed, real) if (number := _number(value)) is not None]
        if where.endswith(": time_sec"):
            assert min(numbers) >= 0, where
        elif len(numbers) == 2:
            close = math.isclose(numbers[0], numbers[1], rel_tol=1e-9)
            assert close, f"{where}: {real}"
        else:
            assert _masked(str(real)) == _masked(str(printed)), f"{where}: {real}"


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _pattern(text: str) -> str:
    """Return the pattern that a text must match, line by line."""
    lines = _masked(text).rstrip().split("\n")
    return "\n".join(".*" if line == "..." else re.escape(line) for line in lines)


def _masked(text: str) -> str:
    plain = _SUM.sub("<sum>", _ID.sub("<id>", _TIME.sub("<time>", text)))
    return _LINE.sub("line <n>", plain)


def runs(program: str, check: str) -> bool:
    """Whether a program is there with what the page needs; ``make clients`` needs it."""
    if "CLIENT_TOOLS" in os.environ:
        return True
    if not (found := shutil.which(program)):
        return False
    return subprocess.run([found, "-e", check], capture_output=True, check=False).returncode == 0
