"""What can go wrong for a client.

A server's refusal is raised as the error of `jobserver.errors` that the server raised itself.
"""

from __future__ import annotations

from typing import Any

import httpx

from jobserver.errors import (
    ApiError,
    BadRequest,
    Changed,
    Conflict,
    Forbidden,
    JobNotRunnable,
    JobserverError,
    NotFound,
    Problem,
    TooLarge,
    TooMany,
    Unauthorized,
    Unavailable,
    UnsupportedType,
)

_BY_STATUS: dict[int, type[ApiError]] = {
    kind.status: kind
    for kind in (
        *(BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Changed, TooLarge),
        *(UnsupportedType, JobNotRunnable, TooMany, Unavailable),
    )
}
#: Characters shown of an answer that is not the server's.
_MOST_TEXT = 200


class Unreachable(JobserverError):
    """No server answers, or the connection was lost for too long."""


class JobFailed(JobserverError):
    """A job failed or was cancelled.

    Attributes
    ----------
    job_id : str
        Its id.
    state : str
        *failed* or *cancelled*.
    error : str or None
        The kind of failure, such as ``ValueError``.
    message : str or None
        What happened.
    log : str
        The end of its log.
    """

    def __init__(self, document: dict[str, Any], log: str = "") -> None:
        self.job_id = str(document["_id"])
        self.state = str(document["state"])
        self.error: str | None = document.get("error")
        self.message: str | None = document.get("message")
        self.log = log
        text = f"The job {self.job_id} {_VERBS[self.state]}: {self.message}"
        super().__init__(f"{text}\n\nThe end of its log:\n{log}" if log else text)


_VERBS = {"failed": "failed", "cancelled": "was cancelled"}


def check(response: httpx.Response) -> None:
    """Raise the error that an answer stands for, with the server's message.

    Parameters
    ----------
    response : httpx.Response
        An answer that has been read.

    Raises
    ------
    ApiError
        If the status is not one of success.
    """
    if response.is_success:
        return
    content = _content(response)
    errors = [Problem(str(e.get("field")), str(e.get("problem"))) for e in content["errors"]]
    kind = _BY_STATUS.get(response.status_code, ApiError)
    refusal = kind(content["message"], errors, _retry_after(response))
    refusal.status = response.status_code
    if refusal.status == Unauthorized.status:
        refusal.add_note("Log in with: jobserver login, or set JOBSERVER_TOKEN.")
    for problem in errors:
        if problem.problem not in refusal.message:
            refusal.add_note(f"{problem.field} {problem.problem}")
    raise refusal


def _content(response: httpx.Response) -> dict[str, Any]:
    """Return message and errors of a refusal, even of a proxy's."""
    try:
        found = response.json()
        errors = [each for each in found.get("errors", []) if isinstance(each, dict)]
        return {"message": str(found["message"]), "errors": errors}
    except (ValueError, KeyError, AttributeError, TypeError):
        beginning = response.text[:_MOST_TEXT].strip()
        text = f"The answer is {response.status_code}, and not from a Jobserver: {beginning}"
        return {"message": text, "errors": []}


def _retry_after(response: httpx.Response) -> int | None:
    """Return the seconds in ``Retry-After``; None if it has none."""
    text = response.headers.get("Retry-After", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
