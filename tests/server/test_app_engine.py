"""What reaches the application on App Engine, and what does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from jobserver.server.app_engine import AppEngine
from jobserver.server.server import Server


@pytest.fixture
def seen() -> list[Request]:
    """What the application was asked."""
    return []


@pytest.fixture
def client(seen: list[Request]) -> Client:
    """A client of an app that is only asked, and drains at once."""

    @Request.application
    def app(request: Request) -> Response:
        seen.append(request)
        return Response(status=204)

    home = SimpleNamespace(app=app, drain=lambda: None)
    return Client(AppEngine(cast("Server", home)))


def ask(client: Client, path: str, **headers: str) -> Any:
    environ = {"REMOTE_ADDR": "169.254.1.1"}
    return client.get(path, headers=headers, environ_overrides=environ)


def test_the_sender_is_whom_app_engine_names(client: Client, seen: list[Request]) -> None:
    ask(client, "/jobs", **{"X-Appengine-User-Ip": "203.0.113.5", "X-Forwarded-For": "192.0.2.1"})
    ask(client, "/jobs")
    assert [request.remote_addr for request in seen] == ["203.0.113.5", "169.254.1.1"]


@pytest.mark.parametrize("sender", ["203.0.113.5", "10.1.0.3", "0.1.0.3, 203.0.113.5", "", None])
def test_a_stop_from_elsewhere_is_a_request_like_any_other(
    client: Client, seen: list[Request], sender: str | None
) -> None:
    headers = {} if sender is None else {"X-Appengine-User-Ip": sender}
    assert ask(client, "/_ah/stop", **headers).status_code == 204
    assert [request.path for request in seen] == ["/_ah/stop"]


def test_app_engine_starts_and_stops(client: Client, seen: list[Request]) -> None:
    for what in ("start", "health"):
        ask(client, f"/_ah/{what}", **{"X-Appengine-User-Ip": "0.1.0.3"})
    assert [request.path for request in seen] == ["/health", "/health"]
    answer = ask(client, "/_ah/stop", **{"X-Appengine-User-Ip": "0.1.0.3"})
    assert (answer.status_code, answer.json["status"]) == (200, 200)
    assert len(seen) == 2
