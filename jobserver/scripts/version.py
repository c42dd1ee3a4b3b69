"""What a script was, so that its run can be repeated: its source, and the packages it builds on."""

from __future__ import annotations

import ast
import platform
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jobserver
from jobserver.checksum import checksum


def version_of(func: Callable[..., Any]) -> str | None:
    """SHA-256 of the file that a function was loaded from; None if it has none that is there."""
    file = _file_of(func)
    if file is None:
        return None
    try:
        return checksum(Path(file))[0]
    except OSError:  # from an archive, or deleted since
        return None


@cache
def base_packages() -> dict[str, str]:
    """Versions of what every run builds on."""
    own = {"python": platform.python_version(), "jobserver": jobserver.__version__}
    return own | _versions(("numpy", "pandas"))


def packages_of(func: Callable[..., Any]) -> dict[str, str]:
    """Version of each package that the module of a function imports, anywhere in it.

    Python's own modules have none, and neither have the home's other files.
    """
    file = _file_of(func)
    return _imported(file) if file else {}


@cache
def _imported(file: str) -> dict[str, str]:
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, ValueError, SyntaxError):  # changed since it was loaded, or no source
        return {}
    names = {name.partition(".")[0] for name in _imports(tree)}
    return _versions(sorted(names - sys.stdlib_module_names - {"jobserver", ""}))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def _versions(names: tuple[str, ...] | list[str]) -> dict[str, str]:
    found = {name: _version(name) for name in names}
    return {name: text for name, text in found.items() if text}


def _version(name: str) -> str | None:
    """What a package says of itself, or what its installation says."""
    own = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
    if isinstance(own, str):
        return own
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _file_of(func: Callable[..., Any]) -> str | None:
    module = sys.modules.get(str(func.__module__))
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None
