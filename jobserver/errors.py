"""All errors of the package, as one tree.

::

    JobserverError
    ├── SettingsError           start-up: a setting, the home or an option is invalid (exit code 2)
    ├── ProgramFailed           a run: an executable exited with a code other than 0
    └── ApiError                an error answer: status, message, errors
        ├── BadRequest     400 ── InvalidId, InvalidName
        ├── Unauthorized   401
        ├── Forbidden      403
        ├── NotFound       404
        ├── Conflict       409
        ├── Changed        412
        ├── TooLarge       413
        ├── UnsupportedType   415
        ├── JobNotRunnable    422
        ├── TooMany        429
        └── Unavailable    503 ── StoreUnavailable, ShuttingDown

Errors of libraries are translated into these where the library is called, keeping the cause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

#: Characters of a name that are compared.
_LONGEST_NAME = 100
#: Least similarity: nope.csv and logger.csv, which share little but the extension, have 0.67.
_LEAST_SIMILARITY = 0.7


class Advised(str):
    """A message whose end is advice that only programs can follow, such as a request to send.

    Attributes
    ----------
    plain : str
        The message without it.
    """

    __slots__ = ("plain",)
    plain: str

    def __new__(cls, text: str, advice: str) -> Self:
        """Return a message and its advice as one text."""
        message = super().__new__(cls, f"{text} {advice}")
        message.plain = text
        return message


def plain(message: str) -> str:
    """Return a message without the advice that only programs can follow."""
    return message.plain if isinstance(message, Advised) else message


@dataclass(frozen=True)
class Problem:
    """A problem with one field of a request.

    Attributes
    ----------
    field : str
        Dotted path in the body, or name of a parameter.
    problem : str
        What is wrong, and what is expected.
    """

    field: str
    problem: str


class JobserverError(Exception):
    """Base class of the errors of this package."""


class SettingsError(JobserverError):
    """A setting, the home or an option is invalid; the message says how to fix it."""


class ProgramFailed(JobserverError):
    """An executable could not be started, or exited with a code other than 0."""


class ApiError(JobserverError):
    """A request was refused; the answer has this status code, message and errors.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    errors : iterable of Problem, optional
        The problems of single fields.
    retry_after : int, optional
        Seconds until another attempt makes sense, sent as ``Retry-After``.
    """

    status = 400

    def __init__(
        self, message: str, errors: Iterable[Problem] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = tuple(errors)
        self.retry_after = retry_after


class BadRequest(ApiError):
    """The request is malformed."""

    status = 400


class InvalidId(BadRequest):
    """An id has invalid characters or length."""


class InvalidName(BadRequest):
    """A file name is invalid."""


class Unauthorized(ApiError):
    """The credentials are missing or invalid."""

    status = 401


class Forbidden(ApiError):
    """The user or the token lacks the permission."""

    status = 403


class NotFound(ApiError):
    """The object does not exist, or not for this user."""

    status = 404


class Conflict(ApiError):
    """The state of the object does not allow it."""

    status = 409


class Changed(ApiError):
    """The object is not as the client saw it."""

    status = 412


class TooLarge(ApiError):
    """A body, file or result exceeds its limit."""

    status = 413


class UnsupportedType(ApiError):
    """A content type or file extension is not supported."""

    status = 415


class JobNotRunnable(ApiError):
    """A job cannot run as it is; ``errors`` lists all reasons."""

    status = 422


class TooMany(ApiError):
    """A quota, a rate limit or the queue is exhausted."""

    status = 429


class Unavailable(ApiError):
    """The server, or a part of it, is temporarily unavailable."""

    status = 503


class StoreUnavailable(Unavailable):
    """The database does not answer."""


class ShuttingDown(Unavailable):
    """The server is shutting down."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down. Try again soon.", retry_after=10)


def similar_names(name: object, known: Iterable[str], most: int = 1) -> str:
    """Return the known names that a wrong one may stand for, for a message; empty if none may.

    Parameters
    ----------
    known : iterable of str
        Names that the user may see.
    most : int
        Maximum number of names, which are joined by "or".
    """
    folded = {each.casefold(): each for each in known}
    wanted = name[:_LONGEST_NAME].casefold() if isinstance(name, str) else ""
    without_extension = [each for each in folded if each.rpartition(".")[0] == wanted != ""]
    close = without_extension or get_close_matches(wanted, folded, most, _LEAST_SIMILARITY)
    return " or ".join(folded[each] for each in close[:most])
