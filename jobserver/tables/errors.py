"""Why data cannot be read as a table, also for whatever a library raises on reading a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jobserver.errors import similar_names

_SHOWN = 5
#: The longest text from data that a message shows whole.
LONGEST_SHOWN = 60


class TableError(ValueError):
    """Data cannot be read as a table."""


class UnreadableTable(TableError):
    """A file cannot be read; the message says why and what to do."""


class AmbiguousTable(TableError):
    """A table can be read in more than one way, or in none; the message says how to fix it."""


class UnknownColumn(TableError):
    """An option names a column that a table lacks; the message lists those it has."""


class NotTimes(TableError):
    """Cells are not times, or times in more than one way; the message says how to fix it."""


@contextmanager
def translated_errors(kind: str) -> Iterator[None]:
    """Translate all errors of the library that reads a file, which may be damaged or hostile.

    Their messages are left out, as they may hold paths; the cause is kept.

    Parameters
    ----------
    kind : str
        The format of the file, with its article.

    Raises
    ------
    UnreadableTable
        If the library is missing or cannot read the file, or there is not enough memory.
    """
    try:
        yield
    except TableError:
        raise
    except MemoryError as error:  # a damaged length asks for a lot of it, too
        raise UnreadableTable(
            "is damaged, or needs more memory than a run may use (JOB_MEMORY_LIMIT): check it, or "
            "divide it"
        ) from error
    except ImportError as error:
        library = (error.name or "a library").partition(".")[0]
        raise UnreadableTable(
            f"needs {library}, which the server lacks: pip install 'jobserver-rest[files]'"
        ) from error
    except Exception as error:
        raise UnreadableTable(
            f"is damaged or not {kind} ({type(error).__name__}): check it with the program that "
            "wrote it, and upload it again"
        ) from error


def sentence(message: str) -> str:
    """Return a message with a full stop at its end, if it lacks one and is no question."""
    return message if message.endswith((".", "?")) else f"{message}."


def abridged(text: str) -> str:
    """Return the start of a text from data, for a message."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the question whether a similar name was meant; empty if there is none.

    It ends a message.
    """
    close = similar_names(str(name), known)
    return f"; did you mean {close}?" if close else ""


def set_one(option: str, values: Iterable[object]) -> str:
    """Return the advice to set an option to one of some values."""
    shown = [f'"{option}": {json.dumps(value, ensure_ascii=False)}' for value in values]
    more = f", or one of {len(shown) - _SHOWN} others" if len(shown) > _SHOWN else ""
    return f"set {' or '.join(shown[:_SHOWN])}{more}"
