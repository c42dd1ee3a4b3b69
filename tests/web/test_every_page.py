"""What holds for every page: accessible, light, at home below a path, in both languages."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
from bson import ObjectId
from playwright.sync_api import Page

import jobserver.app  # noqa: F401 - declares every page
from jobserver.api.framework.endpoint import ENDPOINTS
from jobserver.storage.clock import utcnow
from jobserver.users.policy import Role
from tests.support.members import Member, Members
from tests.support.server import until
from tests.web.conftest import OpenTab

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
PREFIX = "/hydro"
#: Paths of pages; those with a variable need a value in `values`.
PAGES = [
    entry.path
    for entry in ENDPOINTS
    if entry.tag == "pages" and entry.method == "GET" and "/static/" not in entry.path
]
LINKS = ["/user/<user_id>/activate?token=<token>", "/password/reset?token=<reset>", "/ui/nothing"]
WIDTHS = (1440, 768, 360)
HEAVIEST = 120_000
#: Milliseconds to the first paint of a list of many jobs.
SLOWEST = 300
#: Presses of Tab after which the end of any page is reached.
MOST_STOPS = 200

CHECK = """async () => {
  const found = await axe.run(document, { rules: { "target-size": { enabled: true } } });
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
}"""
WEIGH = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => /[.](js|css)$/.test(name))
  .concat(performance.getEntriesByType("navigation"))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""
LINKED = """() => [...document.querySelectorAll("[href], [src], [action], [formaction]")]
  .flatMap((one) => ["href", "src", "action", "formaction"].map((name) => one.getAttribute(name)))
  .filter((path) => path?.startsWith("/"))"""
#: The element with the focus: its number, or null at the end; and whether one sees where it is.
FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body) return null;
  const { width, height } = one.getBoundingClientRect();
  window.seen ??= [];
  if (!window.seen.includes(one)) window.seen.push(one);
  const outline = getComputedStyle(one).outlineStyle !== "none" && width > 0 && height > 0;
  return { number: window.seen.indexOf(one), outline, html: one.outerHTML.slice(0, 200) };
}"""
#: Begin at the top again, also on pages that begin in a field.
RESTART = """() => {
  window.seen = [];
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}"""
STOPS = """() => [...document.querySelectorAll(
  "a[href], :is(button, input, select, textarea):enabled, summary, [tabindex='0']"
)].filter((one) => one.tabIndex >= 0 && !["hidden", "radio"].includes(one.type)
  && one.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true })).length"""


@pytest.fixture(scope="module")
def admin(prefixed: Members) -> Member:
    """Someone who may see every page, with a job that has finished."""
    return prefixed.add(Role.SUPERUSER)


@pytest.fixture(scope="module")
def values(prefixed: Members, admin: Member) -> dict[str, str]:
    """Values of the variables in paths."""
    table = (prefixed.server.data / "timeseries.csv").read_bytes()[:2000].rpartition(b"\n")[0]
    admin.client.put("/datafile/timeseries.csv", content=table)
    job = {"script_name": "summary", "datafile": "timeseries.csv"}
    made = admin.client.put("/job", json=job).json()["_id"]
    ended = admin.client.post(f"/job/{made}/run", params={"wait": 30})
    assert ended.json()["state"] == "finished"
    user, token = prefixed.link("activate", admin.email)
    reset = prefixed.link("reset", admin.email)[1]
    names = {"job_id": str(made), "user_id": user, "token": token, "reset": reset}
    return {**names, "name": "summary", "file:name": "timeseries.csv"}


@pytest.fixture(scope="module", params=["en-GB", "de-DE"])
def tab(
    request: pytest.FixtureRequest, open_tab: OpenTab, prefixed: Members, admin: Member
) -> Iterator[Page]:
    """A tab of someone who may see every page: in English and light, or German and dark."""
    theme = "light" if request.param == "en-GB" else "dark"
    options = {"locale": request.param, "color_scheme": theme, "reduced_motion": "reduce"}
    with open_tab(prefixed, admin, "404", **options) as opened:
        yield opened


def filled(path: str, values: dict[str, str]) -> str:
    return PREFIX + re.sub(r"<((?:file:)?\w+)>", lambda found: values[found[1]], path)


def stops(tab: Page) -> Iterator[dict[str, Any]]:
    """Yield the elements that Tab leads to, from the first to the last."""
    tab.evaluate(RESTART)
    last = 0
    for _ in range(MOST_STOPS):
        tab.keyboard.press("Tab")
        found = tab.evaluate(FOCUSED)
        if found is None or found["number"] == 0 < last:
            return
        yield found
        last = found["number"]
    raise AssertionError("Tab leads to no end")


def check_keyboard(tab: Page) -> None:
    """See to it that Tab reaches everything in order, and that one sees where it is."""
    reached = list(stops(tab))
    outlined = {one["number"] for one in reached if one["outline"]}  # parts of one count for it
    assert [one["html"] for one in reached if one["number"] not in outlined] == []
    numbers = [one["number"] for one in reached]
    assert numbers == sorted(numbers)
    assert len({*numbers}) >= tab.evaluate(STOPS)


@pytest.mark.parametrize("path", [*PAGES, *LINKS])
def test_a_page_is_accessible_light_and_at_home_below_a_path(
    tab: Page, values: dict[str, str], path: str
) -> None:
    broken: list[str] = []
    expected = 404 if path == "/ui/nothing" else 200
    tab.on("response", lambda answer: broken.append(answer.url) if answer.status >= 400 else None)
    tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
    answer = tab.goto(filled(path, values), wait_until="networkidle")
    assert answer is not None
    assert answer.status == expected
    assert broken == ([] if expected == 200 else [answer.url])
    language = str(tab.evaluate("navigator.language"))[:2]
    assert tab.locator("html").get_attribute("lang") == language
    assert tab.evaluate(WEIGH) < HEAVIEST
    assert [each for each in tab.evaluate(LINKED) if not each.startswith(f"{PREFIX}/")] == []
    tab.evaluate(AXE)
    assert tab.evaluate(CHECK) == []
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    assert tab.evaluate(CHECK) == []
    tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
    check_keyboard(tab)


def test_a_list_of_many_jobs_is_painted_at_once(open_tab: OpenTab, prefixed: Members) -> None:
    owner = prefixed.add()
    now = utcnow()
    made = [
        {
            "_id": ObjectId(),
            "created": now - timedelta(seconds=number),
            "state": "finished",
            "script_name": "summary",
            "_owner": ObjectId(owner.id),
            "_run": {"attempt": 1, "change": ObjectId(), "key": ObjectId()},
        }
        for number in range(10_000)
    ]
    prefixed.database["jobs"].insert_many(made)
    paints = "performance.getEntriesByName('first-paint')[0]?.startTime"
    with open_tab(prefixed, owner) as tab:
        took = []
        for _ in range(3):
            tab.goto("/ui/jobs")
            tab.locator("tbody tr").last.wait_for()
            took.append(until(lambda: float(tab.evaluate(paints) or 0)))
    assert statistics.median(took) < SLOWEST
