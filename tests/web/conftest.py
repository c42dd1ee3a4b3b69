"""A server whose pages stand below a path, and tabs of users who are logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Browser, Page

from jobserver.api.framework.identity import SESSION_COOKIE
from tests.support.browser import open_page
from tests.support.members import Member, Members, members_of
from tests.support.server import MakeServer

#: An origin that scripts may call the prefixed server from, with a token.
LISTED = "https://page.example"
OpenTab = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="session")
def prefixed(make_server: MakeServer) -> Iterator[Members]:
    """Users of a server with login, whose public address is ``https`` and has a path."""
    settings = {"PUBLIC_URL": "https://jobs.example/hydro", "CORS_ORIGINS": LISTED}
    with make_server(LOGIN_REQUIRED=True, **settings) as server, members_of(server) as made:
        yield made


@pytest.fixture(scope="session")
def open_tab(browser: Browser) -> OpenTab:
    """Open a tab of a user who is logged in: ``with open_tab(members, member) as tab``."""

    @contextmanager
    def logged_in(
        members: Members, member: Member, expected: str = "", **options: object
    ) -> Iterator[Page]:
        with open_page(browser, members.server, expected, **options) as tab:
            cookie = {"name": SESSION_COOKIE, "value": members.log_in(member.email)}
            flags = {"url": members.server.address, "httpOnly": True, "sameSite": "Strict"}
            tab.context.add_cookies([{**cookie, **flags}])  # type: ignore[typeddict-item]
            yield tab

    return logged_in
