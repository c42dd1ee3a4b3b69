"""A real browser, Chromium, whose pages may only speak to the server, and never complain."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from tests.support.server import Server

#: Milliseconds a page gets for anything that is waited for.
PATIENCE = 15_000
#: What it may be called; the first starts fewest processes.
_PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
#: Chromium has no sandbox of its own in containers and for root.
_OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, started once."""
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        if "CI" in os.environ:
            pytest.fail(f"Chromium is missing: apt-get install {_PROGRAMS[0]}")
        pytest.skip(f"needs Chromium: apt-get install {_PROGRAMS[0]}")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser, server: Server, expected: str = "", **options: object
) -> Iterator[Page]:
    """Open an empty tab in a profile of its own, whose addresses are relative to a server.

    Parameters
    ----------
    expected : str
        A message on the console with this text is not a failure.
    **options : object
        Of a browser's context: ``viewport``, ``color_scheme``, ``locale``...
    """
    wrong: list[str] = []

    def check_host(request: Request) -> None:
        if not request.url.startswith((server.address, "blob:", "data:")):
            wrong.append(f"a request to {request.url}")

    given = {"locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
    context = browser.new_context(base_url=server.address, **given)  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-write"])  # as a browser with a window does on a click
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("request", check_host)
    page.on("pageerror", lambda error: wrong.append(f"an error: {error}"))
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    try:
        yield page
    finally:
        context.close()
    assert [text for text in wrong if not expected or expected not in text] == []


@pytest.fixture
def tab(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab on the shared server."""
    with open_page(browser, server) as page:
        yield page
