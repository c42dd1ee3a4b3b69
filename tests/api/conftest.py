"""What several modules share: a server with a public address, and two users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.members import Member, Members
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


@pytest.fixture(scope="module")
def alice(members: Members) -> Member:
    """A user."""
    return members.add()


@pytest.fixture(scope="module")
def bob(members: Members) -> Member:
    """Another user."""
    return members.add()
