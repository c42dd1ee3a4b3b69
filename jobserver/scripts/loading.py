"""Import the modules of scripts. One that fails is reported and does not affect the others."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from importlib.metadata import entry_points
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import NoReturn, cast

from jobserver.scripts.wording import printable, without_paths

SHIPPED = "jobserver.scripts"
#: Prefix for the module of a file named like an installed module.
PREFIX = "jobserver_home_scripts."

#: Depth of packages and number of files examined, before every run.
DEPTH, MOST_FILES = 4, 2000
#: Characters of an error's message, and files whose frames are not those of user code.
_LONGEST = 500
_MACHINERY = ("<frozen importlib", importlib.__file__, str(Path(__file__).parent))
#: Entered while user code of a module runs, with its name and the action, such as "importing".
ModuleWatch = Callable[[str, str], AbstractContextManager[None]]
#: Modification time (ns) and size of each file by name, to detect changes.
Stamps = dict[str, tuple[int, int]]


def stamps(folder: Path | None) -> Stamps:
    """Return the stamps of the ``*.py`` files in a folder and the packages in it.

    A folder that is missing or unreadable has none; `load_modules` reports it.
    """
    return {} if folder is None else dict(islice(_sources(folder, "", DEPTH), MOST_FILES))


def _sources(folder: Path | str, prefix: str, depth: int) -> Iterator[tuple[str, tuple[int, int]]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_source(entry):
                    yield prefix + entry.name, _stamp(entry)
                elif depth and _may_be_package(entry):
                    yield from _sources(entry.path, f"{prefix}{entry.name}/", depth - 1)
    except OSError:
        return


def _may_be_package(entry: os.DirEntry[str]) -> bool:
    return entry.name.isidentifier() and entry.is_dir() and entry.name != "__pycache__"


def _is_source(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".py") and entry.is_file()


def _stamp(entry: os.DirEntry[str]) -> tuple[int, int]:
    stat = entry.stat()
    return stat.st_mtime_ns, stat.st_size


def unwatched(_module: str, _action: str) -> AbstractContextManager[None]:
    """Do not watch."""
    return nullcontext()


def load_modules(
    folder: Path | None,
    files: Iterable[str],
    names: Iterable[str],
    *,
    only: Callable[[str], bool] = lambda _: True,
    last: Collection[str] = (),
    watch: ModuleWatch = unwatched,
) -> tuple[dict[str, ModuleType], list[dict[str, str]]]:
    """Import the shipped scripts, the files of a folder, the named modules and the entry points.

    Parameters
    ----------
    folder : Path or None
        Absolute folder of the files; added to the end of `sys.path`.
    files : iterable of str
        Names of its files. Those that start with ``_`` or ``.`` are not imported themselves.
    names : iterable of str
        Modules to import by name.
    only : callable
        Whether to import the module of a name.
    last : collection of str
        Names of modules to import last.
    watch : callable
        Entered while each module is imported.

    Returns
    -------
    modules : dict
        The modules by the name that clients use: for a file, its stem.
    errors : list of dict
        ``module`` and ``error`` of each that could not be imported.
    """
    modules: dict[str, ModuleType] = {}
    errors = []
    if folder and folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        text = "this folder cannot be read: check that it is a folder, and its permissions"
        errors.append({"module": folder.name, "error": text})
    planned = [(name, load) for name, load in _plan(folder, files, names) if only(name)]
    for name, load in sorted(planned, key=lambda each: each[0] in last):
        try:
            with watch(name, "importing"):
                module = load()
            if modules.setdefault(name, module) is not module:
                raise ImportError("another module has this name: rename one of the two")
        except BaseException as error:  # a file may raise anything, SystemExit too
            errors.append({"module": name, "error": explain(error, folder)})
    return modules, errors


def explain(error: BaseException, folder: Path | None) -> str:
    """Describe an error in user code in one line: type, message, and the nearest line of code.

    Parameters
    ----------
    error : BaseException
        The error with its traceback.
    folder : Path or None
        Folder of the user's files; a line in them is preferred to one in a library.
    """
    # Unlike str(error), a TracebackException copes with an error that cannot be printed.
    trace = traceback.TracebackException.from_exception(error, lookup_lines=False)
    message = printable(without_paths(" ".join(str(trace).split())))[:_LONGEST]
    has_line = isinstance(error, SyntaxError) and error.filename
    line = "" if has_line else _line(trace.stack, folder)
    return f"{type(error).__name__}: {message}".removesuffix(": ") + line


def _line(stack: traceback.StackSummary, folder: Path | None) -> str:
    frames = [frame for frame in stack if not frame.filename.startswith(_MACHINERY)]
    own = [frame for frame in frames if folder and Path(frame.filename).parent == folder]
    nearest = (own or frames)[-1:]
    return "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in nearest)


def _plan(
    folder: Path | None, files: Iterable[str], names: Iterable[str]
) -> Iterator[tuple[str, Callable[[], ModuleType]]]:
    yield SHIPPED, partial(importlib.import_module, SHIPPED)
    if folder is not None:
        _let_import(folder)
        for file in sorted(files):
            if not file.startswith(("_", ".")) and "/" not in file and file.isprintable():
                yield file.removesuffix(".py"), partial(_load_file, folder / file)
    installed = [point.value for point in entry_points(group=SHIPPED)]
    for name in dict.fromkeys([*names, *installed]):
        yield name, partial(importlib.import_module, name)


def _let_import(folder: Path) -> None:
    """Let the files import each other, compiled anew each time: see `_Source`."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, [".py"])

    def finder(path: str) -> FileFinder:
        if not Path(path).is_relative_to(folder):
            raise ImportError(path)
        return FileFinder(path, *loaders)

    sys.path_hooks.insert(0, finder)
    for path in list(sys.path_importer_cache):
        if Path(path).is_relative_to(folder):
            del sys.path_importer_cache[path]


def _load_file(path: Path) -> ModuleType:
    name = path.stem if _is_free(path) else PREFIX + path.stem
    if name in sys.modules:  # another file has imported it
        return sys.modules[name]
    loader = _Source(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(cast(ModuleSpec, spec))  # with a loader, never None
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _is_free(path: Path) -> bool:
    """Whether importing the file's stem loads this file, so that all importers share one module."""
    try:
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    except ValueError:  # a module of that name is loaded, but was not imported from a file
        return False
    return spec is not None and spec.origin == str(path)


class _Source(SourceFileLoader):
    """Compiles the file anew each time, and leaves no ``__pycache__`` in the user's folder.

    Stale byte code is detected by whole seconds and size, which misses a second edit in a second.
    """

    def path_stats(self, path: str) -> NoReturn:
        raise OSError(path)
