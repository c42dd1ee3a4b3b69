"""``/docs``: the page, and that everything it loads comes from the package."""

from __future__ import annotations

import hashlib
import json
import re

import httpx
import pytest
from playwright.sync_api import expect

from jobserver.web.docs import ASSETS, PAGE, STATIC
from tests.support.members import Members
from tests.support.server import finished
from tests.web.conftest import OpenTab

VENDORED = json.loads((STATIC / "vendored.json").read_text("utf-8"))


def test_the_page_loads_what_the_package_holds(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    loaded = re.findall(r'(?:src|href)="(docs/[^"]+)"', answer.text)
    assert {name.removeprefix("docs/") for name in loaded} == set(ASSETS)
    assert "http" not in PAGE.replace("http-equiv", "")
    assert 'href="ui/jobs"' in PAGE
    for name in loaded:
        part = client.get(f"/{name}")
        assert part.status_code == 200
        assert part.content == (STATIC / name.removeprefix("docs/")).read_bytes()
        again = client.get(f"/{name}", headers={"If-None-Match": part.headers["ETag"]})
        assert again.status_code == 304


@pytest.mark.parametrize("name", ["vendored.json", "swagger-ui/LICENSE", "../views.py", "%2e%2e/x"])
def test_nothing_else_is_served(client: httpx.Client, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404


def test_vendored_files_are_those_that_were_published() -> None:
    kept = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*.*") if path.is_file()}
    ours = {name for name in kept if "/" not in name}
    assert set(VENDORED) == kept - ours
    for name, vendored in VENDORED.items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == vendored["sha256"], name


def test_an_example_is_sent_with_the_login_of_the_pages_and_runs(
    open_tab: OpenTab, members: Members
) -> None:
    user = members.add()
    table = (members.server.data / "timeseries.csv").read_bytes()
    user.client.put("/datafile/timeseries.csv", content=table)
    with open_tab(members, user) as page:
        page.goto("/ui/jobs")
        page.get_by_role("link", name="API").click()
        route = page.locator(".opblock-put").filter(has=page.locator('[data-path="/job"]'))
        route.locator(".opblock-summary-control").click()
        route.get_by_role("button", name="Execute").click()
        expect(route.locator(".live-responses-table tbody")).to_contain_text("201")
    [job] = user.client.get("/jobs").json()["jobs"]
    answer = user.client.post(f"/job/{job['_id']}/run")
    assert answer.status_code == 202, answer.text
    assert finished(user.client, job["_id"])["state"] == "finished"


def test_it_has_the_theme_of_the_other_pages(open_tab: OpenTab, members: Members) -> None:
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    with open_tab(members, members.add(), color_scheme="dark") as page:
        page.goto("/docs", wait_until="domcontentloaded")
        assert page.evaluate(scheme) == "dark"
        page.goto("/ui/jobs")
        page.locator("#theme").click()
        page.goto("/docs", wait_until="domcontentloaded")
        assert page.evaluate(scheme) != "dark"
