"""Everything that can go wrong, as one tree.

::

    JobserverError
    ├── SettingsError          start-up: a setting, the home or an option is wrong (exit code 2)
    ├── ProgramFailed          a run: an executable file ended with another exit code than 0
    └── ApiError                an answer of its own: status, message, errors
        ├── BadRequest     400 ── InvalidId, InvalidName
        ├── Unauthorized   401
        ├── Forbidden      403
        ├── NotFound       404
        ├── Conflict       409
        ├── TooLarge       413
        ├── UnsupportedType 415
        ├── JobNotRunnable      422
        ├── TooMany        429
        └── Unavailable    503 ── StoreUnavailable, ShuttingDown

Library errors are translated into these once, where the library is called, with the cause kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one field of a request.

    Attributes
    ----------
    field : str
        Where: a dotted path into the body, or the name of a parameter.
    problem : str
        What is wrong there, and what would be right.
    """

    field: str
    problem: str


class JobserverError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingsError(JobserverError):
    """A setting, the home or a command line option does not work; the message tells the fix."""


class ProgramFailed(JobserverError):
    """An executable file could not be started, or did not end with exit code 0."""


class ApiError(JobserverError):
    """A request that is not served, with the status code and the body it is answered with.

    Parameters
    ----------
    message : str
        What is wrong and what to do.
    errors : iterable of Problem, optional
        The single problems where there are several.
    retry_after : int, optional
        Seconds after which trying again makes sense; sent as ``Retry-After``.
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
    """The request is malformed or names something that cannot be."""

    status = 400


class InvalidId(BadRequest):
    """An id outside the rules."""


class InvalidName(BadRequest):
    """A file name outside the rules."""


class Unauthorized(ApiError):
    """Nobody is logged in, or the credentials are wrong."""

    status = 401


class Forbidden(ApiError):
    """Known, but not allowed."""

    status = 403


class NotFound(ApiError):
    """Nothing is stored under that name, or not for this user."""

    status = 404


class Conflict(ApiError):
    """The state of the thing does not allow it."""

    status = 409


class TooLarge(ApiError):
    """A body, file or result over its limit."""

    status = 413


class UnsupportedType(ApiError):
    """A content type or file extension that is not understood."""

    status = 415


class JobNotRunnable(ApiError):
    """A job that cannot run as it is; ``errors`` holds every reason."""

    status = 422


class TooMany(ApiError):
    """A quota, a limit or the queue is used up."""

    status = 429


class Unavailable(ApiError):
    """Not now: a part is away."""

    status = 503


class StoreUnavailable(Unavailable):
    """The database does not answer."""


class ShuttingDown(Unavailable):
    """The server is about to end."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down. Try again soon.", retry_after=10)
