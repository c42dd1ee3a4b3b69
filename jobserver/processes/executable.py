"""Executable files as scripts: which there are, how a job calls one, what it gives back.

Only what an administrator put into the folder ``PROCESS_FILE_PATH`` can run. It is started without
a shell::

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
from typing import TYPE_CHECKING, Any

from jobserver.encoding import encode_result, show_value
from jobserver.errors import JobNotRunnable, Problem, UnsupportedType
from jobserver.processes.program import run_program
from jobserver.scripts.wording import shown
from jobserver.system.disk import checksum, is_file_name
from jobserver.tables.loading import load

if TYPE_CHECKING:
    from jobserver.scripts.registry import Registry

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
#: Bytes of one argument, and of all: less than what systems take.
LONGEST_ARGUMENT = 100_000
LONGEST_CALL = 1_000_000
_HEAD = 4096
_COMMENT = re.compile(r"#!?[ \t]?(.*)")


class Executable:
    """Runs an executable file; see `jobserver.processes.function.Process`.

    Parameters
    ----------
    registry : Registry
        Knows whether, and from where.
    binding : dict
        The job's ``script``: ``name``, ``args``, ``kwargs``.
    """

    type = "file"

    def __init__(self, registry: Registry, binding: dict[str, Any]) -> None:
        self.path = find(registry.permits.folder(), binding["name"])
        self.args: list[Any] = binding.get("args", [])
        self.kwargs: dict[str, Any] = binding.get("kwargs", {})
        self._limit = registry.permits.output

    def problems(self, has_data: bool) -> list[Problem]:  # noqa: ARG002 - it takes any data
        """Every reason why it cannot run with these parameters."""
        wrong = [
            Problem(f"args[{n}]", why) for n, arg in enumerate(self.args) if (why := _why(arg))
        ]
        for key, value in self.kwargs.items():
            wrong += _kwarg_problems(key, value)
        length = sum(len(os.fsencode(each)) + 1 for each in self._arguments()) if not wrong else 0
        if length > LONGEST_CALL:
            wrong.append(Problem("args", f"are too long: {length} of {LONGEST_CALL} bytes"))
        return wrong

    def run(self, data: dict[str, Any] | None) -> dict[str, Any]:
        """Hand the data over, run the file, and give what it wrote.

        Returns
        -------
        dict
            ``stdout`` (JSON where all of it is), ``stderr`` and ``returncode``.

        Raises
        ------
        ProgramFailed
            If it ends with another exit code than 0, or cannot be started.
        """
        with as_file(data) as handed:
            given = [] if handed is None else [str(handed)]
            return run_program(self.path, [*given, *self._arguments()], self._limit)

    def origin(self) -> dict[str, Any]:
        """The file and its version; see `jobserver.child.provenance`."""
        script = {"type": self.type, "name": self.path.name, "version": checksum(self.path)[0]}
        return {"script": script, "packages": {}}

    def _arguments(self) -> list[str]:
        """All arguments after the data: ``args``, then ``kwargs`` as options."""
        options = [part for key, value in self.kwargs.items() for part in _option(key, value)]
        return [*map(_text, self.args), *options]


def find(folder: Path, name: str) -> Path:
    """The executable of a name.

    Raises
    ------
    JobNotRunnable
        If there is none; links, folders and what lies elsewhere are none.
    """
    if not is_file_name(name):
        what = "has to be a file's name: letters, digits, '.', '_', '-' and spaces, no path"
        raise JobNotRunnable(
            "The job cannot run.", [Problem("script.name", f"{shown(name)} {what}")]
        )
    if not _is_executable(folder / name):
        what = f"{name} is no executable file of this server. GET /scripts lists what there is."
        raise JobNotRunnable("The job cannot run.", [Problem("script.name", what)])
    return folder / name


def described(folder: Path) -> Iterator[dict[str, Any]]:
    """All executables of a folder by name, as `Script.describe` describes functions."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        if is_file_name(name) and _is_executable(folder / name):
            yield _describe(folder / name)


def _describe(path: Path) -> dict[str, Any]:
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
    """The comment at the start of a file that names its interpreter in the first line."""
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


def _option(key: str, value: Any) -> list[str]:
    """A parameter as options: a list is repeated, true stands alone, false and null are left."""
    if isinstance(value, list):
        return [part for each in value for part in (f"--{key}", _text(each))]
    if value is True:
        return [f"--{key}"]
    return [] if value is None or value is False else [f"--{key}", _text(value)]


def _kwarg_problems(key: str, value: Any) -> Iterator[Problem]:
    field = f"kwargs.{key}" if _KEY.fullmatch(key) else f"kwargs.{shown(key)}"
    if not _KEY.fullmatch(key):
        yield Problem(field, "has to be letters, digits, '_' and '-', a letter first, at most 64")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            if why := _why(each):
                yield Problem(f"{field}[{place}]", why)
    elif value is not None and (why := _why(value)):
        yield Problem(field, why)


def _why(value: Any) -> str:
    """What is wrong with an argument; nothing where it can be passed on."""
    if not isinstance(value, str | int | float):
        return "has to be a text, a number, true or false"
    text = _text(value)
    if "\0" in text or len(text.encode(errors="replace")) > LONGEST_ARGUMENT:
        return f"may hold no NUL and at most {LONGEST_ARGUMENT} bytes"
    return ""


def _text(value: Any) -> str:
    """An argument as text, as JSON writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def as_file(source: Mapping[str, Any] | None) -> Iterator[Path | None]:
    """Data as a file in a folder of its own, for a while; None where none is bound.

    A data file keeps its name and is what it is. Anything else is written: tables as csv, text as
    it is, bytes as they are, and everything else as JSON.

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
            path = Path(folder, value.name)  # a link: where data lies is not told to programs
            path.symlink_to(value)
        else:
            extension, pieces = _written(value)
            path = Path(folder, f"data.{extension}")
            with path.open("wb") as file:
                file.writelines(pieces)
        yield path


def _written(value: Any) -> tuple[str, Iterable[bytes]]:
    """The extension that tells what a file holds, and its content."""
    encoded = encode_result(value)
    if encoded.kind in ("png", "bytes"):
        return ("png" if encoded.kind == "png" else "bin"), [encoded.value]
    if encoded.kind == "text":
        return "txt", show_value(encoded.value, "txt")
    if encoded.kind != "json":
        try:
            pieces = iter(show_value(encoded.value, "csv"))
            return "csv", chain(list(islice(pieces, 1)), pieces)  # a refusal shows at once
        except UnsupportedType:  # an array of more dimensions than a table has
            return "json", show_value(encoded.value, "json")
    return "json", show_value(encoded.value, "json")
