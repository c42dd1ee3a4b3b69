"""A scientist's way through the pages: by mouse, by touch, by keyboard alone, with a login."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from tests.support.browser import open_page
from tests.support.members import PASSWORD, Members
from tests.support.server import Server

LEVELS = (
    b"Pegel Koblenz, Rhein\nTag;Abfluss\n"
    b"29.01.2020;1.250,5\n30.01.2020;980,25\n31.01.2020;1.010,75\n"
)
#: Presses of Tab within which everything on a page is reached.
MOST_STOPS = 80
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def home(shared_server: Server) -> Iterator[Server]:
    """The shared server, with a script that takes its time."""
    with shared_server.script("model.py"):
        yield shared_server


@pytest.fixture
def walk(browser: Browser, home: Server, server: Server) -> Iterator[Page]:
    """A tab on it, in which the first reading of a file is refused."""
    with open_page(browser, home, expected="status of 415") as page:
        yield page


def levels(name: str = "rhein.csv") -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": LEVELS}


def upload_and_mend(page: Page) -> None:
    """Upload a table in the form of a new job; have it read, and keep how."""
    page.get_by_role("radio", name="Data file").check()
    page.locator("[type=file]").set_input_files(levels())
    page.get_by_role("button", name=re.compile('^Set thousands: "."')).click()
    cells = page.locator("#preview td")
    expect(cells.nth(1)).to_have_text("1250.5")
    page.get_by_role("button", name=re.compile('^Set times: "Tag"')).click()
    expect(cells.first).to_have_text("2020-01-29")
    page.get_by_role("button", name="Keep with the file").click()
    expect(page.locator("#notices")).to_contain_text("rhein.csv")


def choose_script(page: Page, name: str) -> None:
    page.get_by_role("combobox", name="Script to run").fill(name)
    page.get_by_role("listbox").get_by_role("option").first.click()


def run_gated(page: Page, home: Server, factor: str) -> str:
    """Run the model of the form with a factor, watch it, and return the address of its page."""
    page.get_by_label("factor", exact=True).fill(factor)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/ui/job/*")
    expect(page.locator("h1 .state")).to_have_text("◑ running")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "0.4")
    expect(page.get_by_text("calibrating", exact=True)).to_be_visible()
    expect(page.locator("#log")).to_contain_text("calibrating with 3 values")
    (home.home / "gate").touch()
    expect(page.locator("h1 .state")).to_have_text("✓ finished")
    (home.home / "gate").unlink()
    expect(page.locator("#log")).to_contain_text(f"scaled by {factor}")
    return page.url


def test_a_table_is_mended_modelled_watched_and_compared(
    walk: Page, home: Server, client: httpx.Client
) -> None:
    walk.goto("/")
    walk.get_by_role("link", name="New job").first.click()
    upload_and_mend(walk)
    assert client.get("/datafile/rhein.csv").json()["options"]["times"] == "Tag"
    choose_script(walk, "model")
    first = run_gated(walk, home, "2")
    rows = walk.locator(".sheet tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_have_text(re.compile("2020-01-29.*2501"))
    expect(walk.locator("#result canvas")).to_be_visible()
    walk.get_by_role("link", name="Change and run").click()
    expect(walk.get_by_role("combobox", name="Data file")).to_have_value("rhein.csv")
    second = run_gated(walk, home, "10")
    assert second != first
    expect(rows.first).to_have_text(re.compile("2020-01-29.*12505"))
    walk.get_by_role("link", name="Jobs", exact=True).click()
    client.put("/job", json={"script_name": "summary"})
    walk.get_by_label("Script", exact=True).fill("model")
    walk.get_by_role("button", name="Filter").click()
    links = walk.locator("tbody a")
    expect(links).to_have_count(2)
    for number, value in enumerate(["12505", "2501"]):
        links.nth(number).click()
        expect(rows.first).to_contain_text(value)
        walk.go_back()


def test_a_long_job_is_cancelled_where_it_is_watched(walk: Page, client: httpx.Client) -> None:
    walk.goto("/ui/scripts")
    walk.get_by_role("link", name="New job with hold", exact=True).click()
    walk.get_by_role("button", name="Run").click()
    expect(walk.locator("h1 .state")).to_have_text("◑ running")
    walk.get_by_role("button", name="Cancel").click()
    expect(walk.locator("h1 .state")).to_have_text("⊘ cancelled")
    walk.get_by_role("link", name="Jobs", exact=True).click()
    expect(walk.locator("tbody .state")).to_have_text(["⊘ cancelled"])
    assert client.get("/jobs").json()["jobs"][0]["state"] == "cancelled"


def test_a_person_logs_in_shares_a_job_and_another_opens_it(
    browser: Browser, members: Members
) -> None:
    owner, other = members.add(), members.add()
    with open_page(browser, members.server) as page:
        log_in(page, "/ui/jobs", owner.email)
        page.get_by_role("link", name="Upload data").click()
        page.get_by_role("link", name="Scripts", exact=True).click()
        page.get_by_role("link", name="New job with add", exact=True).click()
        page.get_by_role("spinbutton", name="a", exact=True).fill("40")
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".single")).to_have_text("42")
        page.get_by_label("All users may read it").check()
        expect(page.get_by_label("All users may read it")).to_be_enabled()
        address = page.url
    with open_page(browser, members.server) as page:
        log_in(page, address, other.email)
        expect(page.locator(".single")).to_have_text("42")
        page.get_by_role("link", name="Change and run").click()
        page.get_by_role("spinbutton", name="a", exact=True).fill("1")
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".single")).to_have_text("3")
        for user in (owner, other):
            [job] = user.client.get("/jobs").json()["jobs"]
            assert job["_id"] in (address if user is owner else page.url)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()


def log_in(page: Page, path: str, email: str) -> None:
    """Open a page, and log in where it asks for that."""
    page.goto(path)
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{path}")


def test_everything_fits_and_is_tapped_on_a_german_phone(
    browser: Browser, home: Server, server: Server
) -> None:
    with open_page(
        browser, home, locale="de-DE", viewport=PHONE, has_touch=True, is_mobile=True
    ) as page:
        page.goto("/")
        header = page.locator("header").bounding_box()
        assert header
        assert header["height"] < 90  # two lines
        page.get_by_role("link", name="Neuer Job").first.tap()
        page.get_by_role("combobox", name="Auszuführendes Skript").tap()
        page.keyboard.type("resample")
        page.get_by_role("listbox").get_by_role("option").first.tap()
        page.get_by_role("radio", name="Datei").tap()
        page.get_by_role("combobox", name="Datei").tap()
        page.get_by_role("listbox").get_by_role("option", name="timeseries.csv").tap()
        expect(page.locator("#preview tbody tr")).to_have_count(50)
        assert fits(page)
        page.get_by_role("textbox", name="period").fill("MS")
        page.get_by_role("button", name="Ausführen").tap()
        expect(page.locator("h1 .state")).to_have_text("✓ fertig")
        expect(page.locator("#result canvas")).to_be_visible()
        page.get_by_role("button", name="Hell oder dunkel").tap()
        page.locator(".plot-legend label").tap()
        assert fits(page)
        for name in ("Skripte", "Daten", "Jobs"):
            page.get_by_role("link", name=name, exact=True).first.tap()
            expect(page.locator("h1")).to_have_text(name)
            assert fits(page)


def fits(page: Page) -> bool:
    """Whether nothing makes the page wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_keyboard_alone_gets_from_the_first_visit_to_a_result(tab: Page) -> None:
    tab.goto("/")
    press(tab, tab.get_by_role("link", name="New job").first, "Enter")
    reach(tab, tab.get_by_role("combobox", name="Script to run"))
    tab.keyboard.type("resample")
    expect(tab.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    tab.keyboard.press("Enter")
    reach(tab, tab.get_by_role("textbox", name="period"))
    tab.keyboard.type("MS")
    press(tab, tab.get_by_role("radio", name="None"), "ArrowRight")
    reach(tab, tab.get_by_role("combobox", name="Data file"))
    tab.keyboard.type("times")
    expect(tab.get_by_role("listbox").get_by_role("option")).to_have_count(1)
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(tab.locator("#preview tbody tr")).to_have_count(50)
    press(tab, tab.get_by_role("button", name="Run"), "Space")
    expect(tab.locator("h1 .state")).to_have_text("✓ finished")
    press(tab, tab.locator(".plot-area"), "+")
    part = tab.locator(".plot-tools output")
    expect(part).not_to_contain_text("2017-01-01")
    press(tab, tab.get_by_role("tab", name="curl"), "ArrowRight")
    expect(tab.get_by_role("tabpanel")).to_contain_text("job.result()")
    press(tab, tab.get_by_role("link", name="Change and run"), "Enter")
    expect(tab.get_by_role("textbox", name="period")).to_have_value("MS")


def reach(page: Page, target: Locator) -> None:
    """Press Tab until an element has the focus."""
    target.wait_for()
    for _ in range(MOST_STOPS):
        if target.evaluate("(one) => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {target}")


def press(page: Page, target: Locator, key: str) -> None:
    reach(page, target)
    page.keyboard.press(key)
