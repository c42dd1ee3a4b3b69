"""Executable files as scripts: list, check and run them.

Only files that an administrator put into the folder ``PROCESS_FILE_PATH`` can run. They are started
without a shell::

    <file> <path of the data> <args...> --<key> <value> ...
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from jobserver.encoding import encode_result, show_value
from jobserver.errors import Advised, JobNotRunnable, Problem, UnsupportedType
from jobserver.processes.forms import Binding
from jobserver.processes.function import Origin
from jobserver.processes.program import run_program
from jobserver.scripts.wording import shortened
from jobserver.system.disk import checksum, is_file_name
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
#: Bytes of one argument and of all together: below the limits of operating systems.
LONGEST_ARGUMENT = 100_000
LONGEST_CALL = 1_000_000
_HEAD = 4096
_COMMENT = re.compile(r"#!?[ \t]?(.*)")


class Executable:
    """Runs an executable file; see `jobserver.processes.function.AnyProcess`.

    Parameters
    ----------
    registry : Registry
        Says whether files are allowed, and from which folder.
    script : dict
        The job's ``script``: ``name``, ``args``, ``kwargs``.
    """

    type = "file"

    def __init__(self, registry: Registry, script: Binding) -> None:
        self.path = find_executable(registry.permissions.folder(), script["name"])
        self.args: list[object] = script.get("args", [])
        self.kwargs: dict[str, object] = script.get("kwargs", {})
        self._limit = registry.permissions.output

    def problems(self, has_data: bool) -> list[Problem]:  # noqa: ARG002 - it takes any data
        """Return every reason why it cannot run with these parameters."""
        problems = [
            Problem(f"args[{n}]", text)
            for n, arg in enumerate(self.args)
            if (text := _argument_problem(arg))
        ]
        for key, value in self.kwargs.items():
            problems += _kwarg_problems(key, value)
        if problems:
            return problems
        length = sum(len(os.fsencode(each)) + 1 for each in self._arguments())
        if length <= LONGEST_CALL:
            return []
        return [
            Problem("args", f"are too long: {length} bytes; at most {LONGEST_CALL} are allowed")
        ]

    def run(self, data: dict[str, object] | None) -> dict[str, object]:
        """Run the file with the data and return what it wrote.

        Returns
        -------
        dict
            ``stdout`` (parsed if it is JSON), ``stderr`` and ``returncode``.

        Raises
        ------
        ProgramFailed
            If it cannot be started or its exit code is not 0.
        """
        with as_file(data) as path:
            leading = [] if path is None else [str(path)]
            return run_program(self.path, [*leading, *self._arguments()], self._limit)

    def origin(self) -> Origin:
        """Return the file's name and version."""
        script = {"type": self.type, "name": self.path.name, "version": checksum(self.path)[0]}
        return {"script": script, "packages": {}}

    def _arguments(self) -> list[str]:
        """Return the arguments after the data: ``args``, then ``kwargs`` as options."""
        options = [part for key, value in self.kwargs.items() for part in _option(key, value)]
        return [*map(_text, self.args), *options]


def find_executable(folder: Path, name: str) -> Path:
    """Return the path of an executable.

    Raises
    ------
    JobNotRunnable
        If the folder has no such file. Links and folders do not count.
    """
    if not is_file_name(name):
        text = (
            f"{shortened(name)} is not a valid file name: use letters, digits, '.', '_', '-' and "
            "spaces, and no path"
        )
    elif not _is_executable(folder / name):
        text = Advised(f"{name} is not an executable of this server.", "GET /scripts lists them.")
    else:
        return folder / name
    raise JobNotRunnable("The job cannot run.", [Problem("script.name", text)])


def describe_executables(folder: Path) -> Iterator[dict[str, object]]:
    """Describe the executables of a folder, by name, as `Script.describe` does functions."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        if is_file_name(name) and _is_executable(folder / name):
            yield _describe(folder / name)


def _describe(path: Path) -> dict[str, object]:
    value = {"type": ["string", "number", "boolean", "null", "array"]}
    return {
        "type": Executable.type,
        "name": path.name,
        "module": None,
        "version": checksum(path)[0],
        "description": _description(path),
        "parameters": {
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": value,
        },
    }


def _description(path: Path) -> str:
    """Return the comment below the line that names the interpreter."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.startswith(b"#!"):
        return ""
    lines: list[str] = []
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        comment = _COMMENT.fullmatch(line)
        if comment is None or (lines and not comment[1]):
            break
        lines.append(comment[1].strip())
    return " ".join(lines).strip()


def _is_executable(path: Path) -> bool:
    try:
        kind = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(kind) and os.access(path, os.X_OK)


def _option(key: str, value: object) -> list[str]:
    """Return a parameter as options: repeated for a list, no value for true, none for false."""
    if isinstance(value, list):
        return [part for each in value for part in (f"--{key}", _text(each))]
    if value is True:
        return [f"--{key}"]
    return [] if value is None or value is False else [f"--{key}", _text(value)]


def _kwarg_problems(key: str, value: object) -> Iterator[Problem]:
    field = f"kwargs.{key}" if _KEY.fullmatch(key) else f"kwargs.{shortened(key)}"
    if not _KEY.fullmatch(key):
        yield Problem(field, "must be a letter, then up to 63 letters, digits, '_' or '-'")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            if text := _argument_problem(each):
                yield Problem(f"{field}[{index}]", text)
    elif value is not None and (text := _argument_problem(value)):
        yield Problem(field, text)


def _argument_problem(value: object) -> str:
    """Return what is wrong with an argument; empty if nothing is."""
    if not isinstance(value, str | int | float):
        return "must be a string, a number, true or false"
    text = _text(value)
    if "\0" in text or len(text.encode(errors="replace")) > LONGEST_ARGUMENT:
        return f"must not contain NUL or exceed {LONGEST_ARGUMENT} bytes"
    return ""


def _text(value: object) -> str:
    """Return an argument as JSON writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def as_file(source: Mapping[str, object] | None) -> Iterator[Path | None]:
    """Provide data as a file in a temporary folder; None if no data is bound.

    A data file keeps its name and content. Tables are written as csv, text and bytes as they are,
    and everything else as JSON.

    Parameters
    ----------
    source : mapping or None
        As `jobserver.tables.loading.load` takes it.
    """
    if source is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="data-", ignore_cleanup_errors=True) as folder:
        value = load(source, as_path=True)
        if isinstance(value, Path):
            path = Path(folder, value.name)  # a link hides the server's path from the program
            path.symlink_to(value)
        else:
            extension, pieces = _content(value)
            path = Path(folder, f"data.{extension}")
            with path.open("wb") as file:
                file.writelines(pieces)
        yield path


def _content(value: object) -> tuple[str, Iterable[bytes]]:
    """Return a file's extension and its content."""
    encoded = encode_result(value)
    if encoded.kind in ("png", "bytes"):
        return ("png" if encoded.kind == "png" else "bin"), [encoded.value]
    if encoded.kind == "text":
        return "txt", show_value(encoded.value, "txt")
    if encoded.kind != "json":
        try:
            pieces = iter(show_value(encoded.value, "csv"))
            return "csv", chain(list(islice(pieces, 1)), pieces)  # fails before the file is made
        except UnsupportedType:  # an array with more dimensions than a table
            pass
    return "json", show_value(encoded.value, "json")
