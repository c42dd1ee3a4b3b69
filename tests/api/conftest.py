"""Servers that several modules share: one that asks for a login, and one with a public address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.members import Member, Members, members_of
from tests.support.server import MakeServer, Server

#: Pages of other origins that may call the public server.
PAGE = "https://page.example"
LOCAL = "http://localhost:8080"
#: Seconds that it keeps jobs after their end.
KEPT_SECONDS = 2


@pytest.fixture(scope="session")
def public_server(make_server: MakeServer) -> Iterator[Server]:
    """A server behind a proxy that pages of two other origins may call, and that forgets jobs."""
    with make_server(
        PUBLIC_URL="https://jobs.example/api",
        CORS_ORIGINS=f"{PAGE},{LOCAL}",
        RESULT_TTL=KEPT_SECONDS,
    ) as server:
        yield server


@pytest.fixture(scope="session")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server that asks for a login, behind a proxy: `X-Forwarded-For` says who asks."""
    with (
        make_server(LOGIN_REQUIRED=True, TRUSTED_PROXIES="127.0.0.1") as server,
        members_of(server) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def alice(members: Members) -> Member:
    """A user."""
    return members.add()


@pytest.fixture(scope="module")
def bob(members: Members) -> Member:
    """Another user."""
    return members.add()
