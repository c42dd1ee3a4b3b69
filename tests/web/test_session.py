"""The login on pages: its cookie, and who may use it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from jobserver.api.framework.identity import SESSION_COOKIE
from tests.conftest import MakeServer
from tests.support.browser import open_page
from tests.support.members import Members, members_of

HTML = {"Accept": "text/html"}
