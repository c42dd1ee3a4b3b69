"""The version of a script, so that its run can be repeated: its source and its packages."""

from __future__ import annotations

import ast
import platform
import sys
from collections.abc import Callable, Collection, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jobserver
from jobserver.system.disk import checksum


def version_of(func: Callable[..., object]) -> str | None:
    """Return the SHA-256 of the file that a function was loaded from; None if it is missing."""
    file = _file_of(func)
    if file is None:
        return None
    try:
        return checksum(Path(file))[0]
    except OSError:  # from an archive, or deleted since
        return None


@cache
def base_packages() -> dict[str, str]:
    """Return the versions of what every run depends on."""
    own = {"python": platform.python_version(), "jobserver": jobserver.__version__}
    return own | _versions(("numpy", "pandas"))


def packages_of(func: Callable[..., object]) -> dict[str, str]:
    """Return the version of each package that the module of a function imports, anywhere in it.

    The standard library and the home's other files have none.
    """
    file = _file_of(func)
    return _imported(file) if file else {}


@cache
def _imported(file: str) -> dict[str, str]:
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, ValueError, SyntaxError):  # changed since it was loaded, or not source code
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
    """Return a package's ``__version__``, or else that of its distribution."""
    own = vars(sys.modules[name]).get("__version__") if name in sys.modules else None
    if isinstance(own, str):
        return own
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _file_of(func: Callable[..., object]) -> str | None:
    module = sys.modules.get(str(func.__module__))
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else None


def files_of(folder: Path, module: str, files: Collection[str]) -> set[str]:
    """Return the files that a module consists of: its own, and those that it imports.

    Parameters
    ----------
    folder : Path
        Folder of the scripts.
    module : str
        Name of the module; one outside the folder has no files.
    files : collection of str
        Names of the folder's files, relative to it.
    """
    found: set[str] = set()
    wanted = list(_candidates(module, files))
    while wanted:
        file = wanted.pop()
        if file not in found:
            found.add(file)
            wanted += _import_names(folder, file, files)
    return found


def _import_names(folder: Path, file: str, files: Collection[str]) -> list[str]:
    try:
        tree = ast.parse((folder / file).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [each for name in _names(tree, file) for each in _candidates(name, files)]


def _names(tree: ast.Module, file: str) -> Iterator[str]:
    """Yield every module that may be imported, by its name relative to the folder."""
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
    """Yield the files that importing a module runs, including those of its packages."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        yield from (file for file in (f"{path}.py", f"{path}/__init__.py") if file in files)
