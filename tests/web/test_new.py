"""The page of a new job: its form, and that what is typed there is what runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.support.browser import open_page
from tests.support.server import Server, finished

LARGE = 9223372036854775807

#: Collect the elements that move without being asked to.
OBSERVE = """window.moved = []; new PerformanceObserver((list) => {
  const sources = list.getEntries().flatMap((entry) => entry.sources);
  window.moved.push(...sources.map(({ node }) => node?.nodeName));
}).observe({ type: "layout-shift", buffered: true });"""
MOVED = """async () => {
  for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
  return window.moved;
}"""


@pytest.fixture(scope="module")
def home(shared_server: Server) -> Iterator[Server]:
    """The shared server, with a script that has parameters of many kinds."""
    with shared_server.script("forms.py"):
        yield shared_server


@pytest.fixture
def form(browser: Browser, home: Server, server: Server) -> Iterator[Page]:
    """A tab on it; refusals are expected."""
    with open_page(browser, home, expected="status of 4") as page:
        page.route("**/ui/job/*", lambda route: route.fulfill(body="the job"))
        yield page


def ran(page: Page, client: httpx.Client) -> Any:
    """Run what the form holds, and return the job."""
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/ui/job/*")
    return finished(client, page.url.rpartition("/")[2])


def test_nothing_moves_when_parameters_arrive(form: Page) -> None:
    form.add_init_script(OBSERVE)
    form.set_viewport_size({"width": 768, "height": 900})
    form.goto("/ui/new?script=survey")
    expect(form.get_by_label("rate", exact=True)).to_be_visible()
    assert form.evaluate(MOVED) == []


def test_a_file_that_is_there_already_is_used_as_it_is(form: Page, client: httpx.Client) -> None:
    form.goto("/ui/new?script=summary")
    form.get_by_role("radio", name="Data file").check()
    form.locator("[type=file]").set_input_files(
        FilePayload(name="timeseries.csv", mimeType="text/csv", buffer=b"t,q\n2020-01-01,1\n")
    )
    expect(form.locator(".uploads")).to_contain_text("timeseries.csv already exists.")
    form.get_by_role("button", name="Use the stored file").click()
    expect(form.locator(".uploads li")).to_have_count(0)
    job = ran(form, client)
    assert (job["datafile"], job["result"]["value"]["count"]) == ("timeseries.csv", 12000)


def test_a_form_is_filled_in_corrected_kept_and_run(form: Page, client: httpx.Client) -> None:
    form.goto("/ui/new?datafile=timeseries.csv")
    form.get_by_role("combobox", name="Script to run").fill("arguments survey")
    expect(form.locator("[role=listbox] [role=option]")).to_have_count(1)
    form.keyboard.press("Enter")
    expect(form.locator("[role=listbox]:visible")).to_have_count(0)
    expect(form.locator("#about")).to_contain_text("<b>as they are</b>")
    form.get_by_label("rate", exact=True).fill("2")
    form.get_by_role("button", name="Run").click()
    label = form.get_by_role("textbox", name="label")
    expect(label).to_be_focused()
    assert client.get("/jobs").json()["found"] == 0
    label.fill("Rhine")
    form.get_by_label("rate", exact=True).fill("0.25")
    form.get_by_label("method").select_option("cubic")
    form.get_by_label("start").fill("2020-02-01")
    form.get_by_role("group", name="column").get_by_label("Type").select_option("list: text")
    form.get_by_role("group", name="column").get_by_role("button", name="Add").click()
    form.keyboard.type("value")
    form.get_by_role("group", name="stations").get_by_role("button", name="Add").click()
    form.get_by_role("textbox", name="name", exact=True).fill("Xanten")
    form.get_by_role("group", name="limit").get_by_role("checkbox").check()
    form.get_by_label("extra").fill(f"[{LARGE}]")
    form.get_by_text("More settings").click()
    form.get_by_label("Seed").fill(str(LARGE))
    form.get_by_label("Other fields").fill('{"project": "Rhine"}')
    form.reload()
    expect(form.get_by_label("Seed")).to_have_value(str(LARGE))
    job = ran(form, client)
    assert job["result"] == {
        **{"label": "Rhine", "rate": 0.25, "method": "cubic", "start": "2020-02-01"},
        **{"limit": None, "column": ["value"], "names": ["Xanten"], "extra": [LARGE]},
        "rows": 12000,
    }
    assert job["script"]["kwargs"].keys() == job["result"].keys() - {"names", "rows"} | {"stations"}
    assert (job["seed"], job["project"]) == (LARGE, "Rhine")
    form.goto(f"/ui/new?from={job['_id']}")
    expect(form.get_by_role("textbox", name="label")).to_have_value("Rhine")
    again = ran(form, client)
    assert again["_id"] != job["_id"]
    assert [again[name] for name in ("result", "seed", "project")] == [
        job[name] for name in ("result", "seed", "project")
    ]


def test_what_is_typed_is_chosen_by_tab_or_reported(form: Page) -> None:
    form.goto("/ui/new?script=summary&datafile=none.csv")
    expect(form.locator("#datafile-problem")).to_contain_text("none.csv")
    expect(form.locator("#datafile-problem")).not_to_contain_text("GET /")
    script = form.get_by_role("combobox", name="Script to run")
    script.fill("nowhere")
    script.press("Tab")
    expect(form.locator("#notices")).to_contain_text("nowhere")
    expect(script).to_have_value("summary")
    script.fill("surv")
    script.press("Tab")
    expect(script).to_have_value("survey")


def test_what_the_server_refuses_is_shown_beside_its_field(
    form: Page, client: httpx.Client
) -> None:
    form.goto("/ui/new?script=survey")
    form.get_by_role("radio", name="JSON or table").check()
    form.get_by_role("textbox", name="Data").fill("[1, 2]")
    form.get_by_role("textbox", name="label").fill("Rhine")
    form.get_by_role("group", name="stations").get_by_role("button", name="Add").click()
    form.get_by_role("textbox", name="name", exact=True).fill("Xanten")
    form.get_by_text("More settings").click()
    form.get_by_label("Email address").fill("nobody")
    form.get_by_label("extra").fill("{}")
    form.evaluate("document.querySelector('[name=notify]').type = 'text'")
    form.get_by_role("button", name="Run").click()
    notify = form.locator("[data-field=notify]")
    expect(notify.locator(".field-problem")).to_contain_text("email address")
    expect(form.get_by_label("Email address")).to_be_focused()
    assert client.get("/jobs").json()["found"] == 0
    form.get_by_label("Email address").fill("")
    expect(notify.locator(".field-problem")).to_be_hidden()
    form.get_by_role("button", name="Save as draft").click()
    form.wait_for_url("**/ui/job/*")
    [job] = client.get("/jobs", params={"stringify": "false"}).json()["jobs"]
    assert (job["state"], job["raw_data"]) == ("created", [1, 2])


def test_a_script_that_no_form_shows_is_written_as_json(form: Page, client: httpx.Client) -> None:
    pipeline = {"type": "pipeline", "steps": [{"name": "add", "kwargs": {"a": LARGE}}]}
    form.goto("/ui/new?script=survey")
    form.get_by_role("button", name="Edit as JSON").click()
    form.get_by_label("Script as JSON").fill("{")
    form.get_by_role("button", name="Save as draft").click()
    expect(form.locator("#script-text-problem")).to_be_visible()
    form.get_by_label("Script as JSON").fill(json.dumps(pipeline))
    form.get_by_role("button", name="Save as draft").click()
    form.wait_for_url("**/ui/job/*")
    [job] = client.get("/jobs", params={"stringify": "false"}).json()["jobs"]
    assert job["script"] == pipeline
    form.goto(f"/ui/new?from={job['_id']}")
    expect(form.get_by_label("Script as JSON")).to_have_value(re.compile(str(LARGE)))
