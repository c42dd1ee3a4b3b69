"""Make foreign text fit for messages: short, printable, without paths of the server."""

from __future__ import annotations

import importlib
import re
import reprlib
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LONGEST = 500
#: Files whose frames are not those of user code.
_MACHINERY = ("<frozen importlib", importlib.__file__, str(Path(__file__).parent))
#: An absolute path, but not the `/` in `km/h`, `https://` or `./file`.
_PATH = re.compile(r"""(?<![\w:/.])(?:/[^\s/'"<>:,;()]+)+/?|\b[A-Za-z]:\\[^\s'"<>,;()]+""")


def shortened(value: object) -> str:
    """Return the `repr` of a value, cut to about 60 characters."""
    return _SHORT.repr(value)


def unknown_script(name: object, known: Iterable[str], failed: Iterable[str]) -> str:
    """Return that a script is unknown, and what to do; it continues "The script".

    Parameters
    ----------
    known : iterable of str
        The names of all scripts.
    failed : iterable of str
        The modules that could not be loaded.
    """
    close = get_close_matches(name[:100], known, n=3) if isinstance(name, str) else []
    hint = f" Did you mean {' or '.join(close)}?" if close else " GET /scripts lists them."
    names = ", ".join(dict.fromkeys(failed))
    failures = f" Modules with errors: {names}." if names else ""
    return f"{shortened(name)} is unknown.{hint}{failures}"


def printable(text: str) -> str:
    """Return the text without lone surrogates, which UTF-8 and JSON cannot represent."""
    return text.encode("utf-8", "replace").decode()


def without_paths(text: str) -> str:
    """Return the text with every absolute path reduced to its last part."""
    return _PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/"))[-1], text)


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
