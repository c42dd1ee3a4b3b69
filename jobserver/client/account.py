"""Log in, and make a personal token that lasts."""

from __future__ import annotations

import platform
from base64 import b64encode
from typing import Any

from jobserver.client.connection import Connection, as_document
from jobserver.client.failures import Unreachable
from jobserver.client.job import JSON
from jobserver.client.payload import as_json as body_of
from jobserver.errors import Forbidden, Unauthorized

_SECONDS = 30.0
_SCOPES = ("read", "write", "run")


def needs_login(url: str) -> bool:
    """Whether a server asks for a login."""
    try:
        _ask(url, None, "GET", "/login")
    except Forbidden:
        return False
    except Unauthorized:
        return True
    raise Unreachable(f"{url} is no Jobserver: it logs in everybody.")


def make_token(url: str, email: str, password: str) -> str:
    """Return a new personal token of a user, to read, write and run.

    Raises
    ------
    Unauthorized
        If address or password are wrong.
    Conflict
        If the user has too many tokens.
    Forbidden
        If the server asks for no login.
    """
    basic = b64encode(f"{email}:{password}".encode()).decode()
    answer = _ask(url, None, "GET", "/login", {"Authorization": f"Basic {basic}"})
    body = body_of({"name": f"jobserver login on {platform.node()}"[:100], "scopes": _SCOPES})
    path = f"/user/{answer['user']['_id']}/tokens"
    made = _ask(url, answer["access_token"], "PUT", path, body=body)
    return str(made["token"])


def _ask(
    url: str,
    token: str | None,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> dict[str, Any]:
    connection = Connection(url, token, _SECONDS, 0)
    headers = {**(headers or {}), **(JSON if body else {})}
    try:
        return as_document(connection.request(method, path, headers=headers, content=body))
    finally:
        connection.close()
