"""Options of bound data: what cannot be inferred of a file, or shall be otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from typing import Any

from jobserver.errors import JobNotRunnable, Problem
from jobserver.storage.database import Document
from jobserver.tables.datatypes import DATATYPES
from jobserver.tables.dialect import SEPARATORS


def check_options(data: Document, known: Set[str]) -> None:
    """See to it that a job's ``data`` has only fields that are known, with values that can be.

    Raises
    ------
    JobNotRunnable
        With every reason.
    """
    problems = [Problem(f"data.{name}", "is unknown") for name in sorted(data.keys() - known)]
    problems += _wrong(data)
    if problems:
        raise JobNotRunnable("The data cannot be bound.", problems)


def _wrong(data: Document) -> Iterator[Problem]:
    for name, (is_right, what) in OPTIONS.items():
        if name in data and not is_right(data[name]):
            yield Problem(f"data.{name}", f"has to be {what}")


def _is_one_of(*choices: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_encoding(value: Any) -> bool:
    """Whether a value names an encoding of text."""
    try:
        return isinstance(value, str) and isinstance("".encode(value), bytes)
    except (LookupError, ValueError):
        return False


OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "datatype": (_is_one_of(*DATATYPES), f"one of {', '.join(DATATYPES)}"),
    "separator": (_is_one_of(*SEPARATORS), "a tab, ; | or , or a space for any white space"),
    "decimal": (_is_one_of(".", ","), '"." or ","'),
    "header": (_is_boolean, "true or false: whether the first row names the columns"),
    "encoding": (_is_encoding, "the name of an encoding, such as utf-8 or latin-1"),
}
