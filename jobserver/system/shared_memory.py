"""Shared memory that runs create: it outlives their processes unless it is removed."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import psutil

_FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux keeps it

#: The runs that go on now.
_running: list[Segments] = []
_lock = threading.Lock()


class Segments:
    """The segments that appear during a run.

    One that appears during several runs may belong to any of them, and is removed after the last.

    Parameters
    ----------
    owner : int
        The user of the run's processes.
    """

    def __init__(self, owner: int) -> None:
        self._owner = owner
        with _lock:
            self._before = _names()
            _running.append(self)

    def size(self) -> int:
        """Return the bytes of those that belong to no other run."""
        return sum(map(_size, self._only_mine()))

    def remove(self) -> None:
        """Remove what the run left, unless another program uses it."""
        with _lock:
            left = self._only_mine()
            _running.remove(self)
        used = _in_use() if left else set()
        for path in left:
            if not any(each == str(path) or each.startswith(f"{path}/") for each in used):
                _remove(path)

    def _only_mine(self) -> list[Path]:
        """Return those that appeared during this run, and before any other that goes on."""
        names = _names()
        if names is None or self._before is None:
            return []
        others = (each._before for each in _running if each is not self)
        appeared = (names - self._before).intersection(*(one for one in others if one is not None))
        return [path for path in map(_FOLDER.joinpath, appeared) if _owner(path) == self._owner]


def _names() -> set[str] | None:
    """Return the names of all segments; None if they cannot be listed."""
    with suppress(OSError), os.scandir(_FOLDER) as entries:
        return {entry.name for entry in entries}
    return None


def _owner(path: Path) -> int | None:
    """Return the user of a segment; None if it is gone."""
    with suppress(OSError):
        return path.lstat().st_uid
    return None


def _size(path: Path) -> int:
    """Return the bytes of a segment, or of all segments in a folder."""
    with suppress(OSError):
        within = sum(map(_size, path.iterdir())) if path.is_dir() else 0
        return within + path.lstat().st_blocks * 512
    return 0


def _in_use() -> set[str]:
    """Return the segments that a process has mapped or open."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            found |= {each.path for each in process.memory_maps() if _is_segment(each.path)}
            found |= {each.path for each in process.open_files() if _is_segment(each.path)}
    return found


def _is_segment(path: str) -> bool:
    return path.startswith(f"{_FOLDER}/")


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
