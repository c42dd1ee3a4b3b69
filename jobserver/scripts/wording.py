"""Text from outside, made fit for a message: short, printable, without paths of the server."""

from __future__ import annotations

import importlib
import re
import reprlib
import traceback
from pathlib import Path

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LONGEST = 500
#: Files whose frames say nothing about user code.
_MACHINERY = ("<frozen importlib", importlib.__file__, str(Path(__file__).parent))
#: An absolute path; not the `/` of `km/h`, of `https://` or of `./file`.
_PATH = re.compile(r"""(?<![\w:/.])(?:/[^\s/'"<>:,;()]+)+/?|\b[A-Za-z]:\\[^\s'"<>,;()]+""")


def shown(value: object) -> str:
    """A value as a client sent it: its `repr`, cut to about 60 characters."""
    return _SHORT.repr(value)


def printable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 and so JSON cannot hold."""
    return text.encode("utf-8", "replace").decode()


def without_paths(text: str) -> str:
    """The text with every absolute path cut to its last part."""
    return _PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/"))[-1], text)


def explain(error: BaseException, folder: Path | None) -> str:
    """One line on an error in user code: type, message, and the place closest to the user.

    Parameters
    ----------
    error : BaseException
        As caught, with its traceback.
    folder : Path or None
        Folder of the user's files. A place in it is preferred to one in a library.
    """
    # Unlike str(error), a TracebackException copes with an error that cannot be printed.
    trace = traceback.TracebackException.from_exception(error, lookup_lines=False)
    message = printable(without_paths(" ".join(str(trace).split())))[:_LONGEST]
    told = isinstance(error, SyntaxError) and error.filename
    place = "" if told else _place(trace.stack, folder)
    return f"{type(error).__name__}: {message}".removesuffix(": ") + place


def _place(stack: traceback.StackSummary, folder: Path | None) -> str:
    frames = [frame for frame in stack if not frame.filename.startswith(_MACHINERY)]
    own = [frame for frame in frames if folder and Path(frame.filename).parent == folder]
    nearest = (own or frames)[-1:]
    return "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in nearest)
