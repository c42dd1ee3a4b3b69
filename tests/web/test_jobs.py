"""The page of all jobs: what it shows, and what can be done there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from jobserver.api.framework import errors
from jobserver.api.framework.identity import KEY
from jobserver.app import BLUEPRINTS
from jobserver.home.settings import Settings
from jobserver.web import pages
from tests.support.members import Members
from tests.support.server import Server

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def created(client: httpx.Client, **fields: object) -> str:
    return str(client.put("/job", json=fields).json()["_id"])


def finished(client: httpx.Client, **fields: object) -> str:
    job = created(client, **fields)
    client.get(f"/job/{job}/run", params={"wait": 30})
    return job


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [(HTML["Accept"], True), ("*/*", False), ("application/json", False), ("text/html", True)],
)
def test_browsers_get_a_page_and_programs_json(
    client: httpx.Client, accept: str, is_page: bool
) -> None:
    answer = client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert ("<html" in answer.text) == is_page
    assert "Accept" in answer.headers["Vary"]
    assert is_page or answer.json()["version"]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("name", ["since", "until"])
def test_the_first_and_the_last_day_are_days(client: httpx.Client, name: str, day: str) -> None:
    job = created(client)
    answer = client.get("/ui/jobs", params={name: day})
    assert answer.status_code == 200
    assert (job in answer.text) == ((name, day[0]) in [("since", "0"), ("until", "9")])


@pytest.mark.parametrize("path", ["/ui/jobs?text=%00", "/jobs?script=a%00b"])
def test_a_nul_is_refused_as_the_client_reads_it(client: httpx.Client, path: str) -> None:
    assert "NUL" in client.get(path).json()["errors"][0]["problem"]
    page = client.get(path, headers=HTML)
    assert page.status_code == 400
    assert page.text.startswith("<!doctype html>") == path.startswith("/ui/")


def test_a_browser_gets_a_page_for_a_wrong_method(server: Server) -> None:
    page = httpx.put(f"{server.address}/ui/jobs", headers=HTML)
    assert (page.status_code, page.headers["Content-Type"]) == (405, "text/html; charset=utf-8")
    assert "GET /ui/jobs" in page.text
    assert "GET" in page.headers["Allow"]
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    answer = server.client.put("/ui/jobs")
    assert (answer.status_code, answer.json()["status"]) == (405, 405)


@pytest.mark.parametrize("is_browser", [True, False])
def test_a_browser_gets_a_page_for_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_browser: bool
) -> None:
    """The parts of this app have no jobs to list."""
    app = Flask("jobserver")
    app.extensions[KEY] = SimpleNamespace(settings=Settings(home=tmp_path))
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    errors.register(app)
    pages.register(app)
    answer = app.test_client().get("/ui/jobs", headers=HTML if is_browser else {})
    assert answer.status_code == 500
    assert answer.text.startswith("<!doctype html>") == is_browser
    assert "administrator" in answer.text
    assert "Traceback" not in answer.text
    assert "GET /ui/jobs failed" in caplog.text


def test_a_visitor_without_data_is_sent_to_upload_some(members: Members) -> None:
    page = members.add().client.get("/ui/jobs", headers=HTML).text
    assert "datafile=timeseries.csv" not in page
    assert 'href="/ui/data">Upload' in page


@pytest.mark.parametrize("path", ["/ui", "/ui/"])
def test_the_first_page_is_that_of_the_jobs(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ui/jobs")


def test_a_visitor_without_jobs_is_shown_the_first_one(tab: Page) -> None:
    tab.goto("/")
    expect(tab.get_by_text("There are no jobs yet.")).to_be_visible()
    expect(
        tab.get_by_role("link", name="Open the form with summary and timeseries.csv")
    ).to_be_visible()


def test_jobs_are_listed_newest_first_and_filtered(tab: Page, client: httpx.Client) -> None:
    finished(client, script_name="summary", datafile="timeseries.csv")
    finished(client, script_name="summary", raw_data="no table")
    created(client, description="a draft")
    tab.goto("/ui/jobs")
    states = tab.locator("tbody .state")
    expect(states).to_have_text(["○ created", "✕ failed", "✓ finished"])
    tab.get_by_label("State").first.select_option("failed")
    tab.get_by_role("button", name="Filter").click()
    expect(states).to_have_text(["✕ failed"])
    tab.get_by_role("link", name="Clear filters").click()
    tab.get_by_label("Text").fill("a draft")
    tab.get_by_role("button", name="Filter").click()
    expect(states).to_have_text(["○ created"])
    tab.get_by_label("Text").fill(".*")
    tab.get_by_role("button", name="Filter").click()
    expect(tab.get_by_text("No job matches these filters.")).to_be_visible()


def test_a_state_changes_on_the_page_by_itself(tab: Page, client: httpx.Client) -> None:
    job = created(client, script_name="summary", datafile="timeseries.csv")
    tab.goto("/ui/jobs")
    expect(tab.locator("tbody .state")).to_have_text(["○ created"])
    client.get(f"/job/{job}/run")
    expect(tab.locator("tbody .state")).to_have_text(["✓ finished"])


def test_selected_jobs_are_deleted(tab: Page, client: httpx.Client) -> None:
    kept = created(client, description="kept")
    for _ in range(3):
        created(client, description="gone")
    tab.goto("/ui/jobs?text=gone")
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.get_by_label("Select all jobs on this page").check()
    expect(tab.get_by_text("3 selected")).to_be_visible()
    tab.get_by_role("button", name="Delete selected").click()
    expect(tab.get_by_text("Deleted jobs: 3")).to_be_visible()
    assert [job["_id"] for job in client.get("/jobs").json()["jobs"]] == [kept]


def test_more_jobs_than_a_page_holds_are_paged(tab: Page, client: httpx.Client) -> None:
    for _ in range(52):
        created(client)
    tab.goto("/")
    expect(tab.get_by_text("Jobs found: 52")).to_be_visible()
    expect(tab.locator("tbody tr")).to_have_count(50)
    tab.get_by_role("link", name="Older").click()
    expect(tab.locator("tbody tr")).to_have_count(2)
    tab.get_by_role("link", name="Newest").click()
    expect(tab.locator("tbody tr")).to_have_count(50)


def test_html_in_names_and_messages_is_text(tab: Page, client: httpx.Client) -> None:
    created(client, script_name="<img src=x onerror=alert(1)>", message_of="<b>")
    tab.goto("/")
    expect(tab.locator("tbody img")).to_have_count(0)
    expect(tab.get_by_role("link", name="<img src=x onerror=alert(1)>")).to_be_visible()


def test_the_theme_and_the_language_are_remembered(tab: Page) -> None:
    tab.goto("/")
    tab.get_by_role("button", name="Light or dark").click()
    tab.get_by_label("Language").select_option("de")
    expect(tab.get_by_role("link", name="Neuer Job").first).to_be_visible()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.reload()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("query", ["state=lost", "since=yesterday", "after=x", "unknown=1"])
def test_a_wrong_query_is_refused_on_a_page(server: Server, query: str) -> None:
    answer = server.client.get(f"/ui/jobs?{query}", headers=HTML)
    assert answer.status_code == 400
    assert "text/html" in answer.headers["Content-Type"]
