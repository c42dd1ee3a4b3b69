"""Which files of a folder of scripts a module depends on, as far as its source tells."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path


def files_of(folder: Path, module: str, files: Collection[str]) -> set[str]:
    """The files that a module consists of: its own, and those that it imports.

    Parameters
    ----------
    folder : Path
        Folder of the scripts.
    module : str
        Name of a module; one that lies elsewhere has no files here.
    files : collection of str
        Names of the files of the folder, relative to it.
    """
    found: set[str] = set()
    wanted = list(_candidates(module, files))
    while wanted:
        file = wanted.pop()
        if file not in found:
            found.add(file)
            wanted += _imported(folder, file, files)
    return found


def _imported(folder: Path, file: str, files: Collection[str]) -> list[str]:
    try:
        tree = ast.parse((folder / file).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [each for name in _names(tree, file) for each in _candidates(name, files)]


def _names(tree: ast.Module, file: str) -> Iterator[str]:
    """Every module that may be imported, by its name from the folder on."""
    package = file.removesuffix(".py").split("/")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: -node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield module
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _candidates(name: str, files: Collection[str]) -> Iterator[str]:
    """The files that importing a module runs: those of its packages too."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        yield from (file for file in (f"{path}.py", f"{path}/__init__.py") if file in files)
