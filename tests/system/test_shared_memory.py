"""Which segments of shared memory count as a run's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobserver.system import shared_memory
from jobserver.system.shared_memory import Segments


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "shm"
    monkeypatch.setattr(shared_memory, "_FOLDER", folder)
    yield folder
    assert shared_memory._running == []


def test_what_appears_during_a_run_goes_with_it(folder: Path) -> None:
    folder.mkdir()
    (folder / "before").touch()
    run = Segments(os.geteuid())
    (folder / "during").write_bytes(bytes(5000))
    (folder / "within").mkdir()
    (folder / "within" / "one").write_bytes(bytes(5000))
    assert run.size() >= 10_000
    run.remove()
    assert [path.name for path in folder.iterdir()] == ["before"]


def test_what_may_be_of_two_runs_goes_with_the_last(folder: Path) -> None:
    folder.mkdir()
    first, second = Segments(os.geteuid()), Segments(os.geteuid())
    (folder / "either").touch()
    assert first.size() == second.size() == 0
    first.remove()
    assert (folder / "either").exists()
    second.remove()
    assert not (folder / "either").exists()


def test_nothing_is_removed_if_it_is_unknown_what_was_there_before(folder: Path) -> None:
    run = Segments(os.geteuid())
    folder.mkdir()
    (folder / "whose").touch()
    run.remove()
    assert (folder / "whose").exists()
