"""A server that asks for a login, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.members import Member, Members, database_of
from tests.conftest import MakeServer


@pytest.fixture(scope="module")
def members(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server that asks for a login."""
    with make_server(LOGIN_REQUIRED=True, WORKERS=2) as server, database_of(server) as database:
        made = Members(server, database)
        yield made
        made.close()
        server.check()


@pytest.fixture(scope="module")
def alice(members: Members) -> Member:
    """A user."""
    return members.add()


@pytest.fixture(scope="module")
def bob(members: Members) -> Member:
    """Another user."""
    return members.add()
