"""The pages of data and scripts: uploads, how a file is read, and what a script takes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.support.browser import open_page
from tests.support.server import Server

TABLE = b"Gauge: Koblenz\nTag;Abfluss\n01.02.2020;1.250,5\n02.02.2020;-999\n"


@pytest.fixture
def refused(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab in which refusals are expected, and every question is answered with yes."""
    with open_page(browser, server, expected="status of 4") as page:
        page.on("dialog", lambda dialog: dialog.accept())
        yield page


def file(name: str, content: bytes = TABLE) -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": content}


def test_files_are_uploaded_read_with_options_and_deleted(
    refused: Page, client: httpx.Client
) -> None:
    refused.goto("/ui/data")
    refused.locator("[type=file]").set_input_files([file("rhine.csv"), file("timeseries.csv")])
    name = refused.get_by_label("Name of the data file")
    expect(refused.locator(".uploads .field-problem")).to_contain_text("already exists")
    name.fill("second.csv")
    refused.get_by_role("button", name="Try again").click()
    expect(refused.locator("#listing a.mono")).to_have_text(
        ["rhine.csv", "second.csv", "timeseries.csv"]
    )
    refused.get_by_role("button", name="Delete second.csv").click()
    expect(refused.locator("#listing a.mono")).to_have_text(["rhine.csv", "timeseries.csv"])
    refused.get_by_role("link", name="rhine.csv", exact=True).click()
    refused.get_by_role("button", name='Set thousands: "."').click()
    cells = refused.locator("#preview td")
    expect(cells).to_have_text(["01.02.2020", "1250.5", "02.02.2020", "-999"])
    expect(refused.locator(".remarks")).to_contain_text("-999")
    refused.get_by_label("Values that mean missing").fill("-999")
    refused.get_by_label("Columns of the times").fill("Tag")
    expect(cells).to_have_text(["2020-02-01", "1250.5", "2020-02-02", "missing"])
    assert "options" not in client.get("/datafile/rhine.csv").json()
    carried = refused.locator("[data-read][href*='options=']")
    expect(carried).to_have_count(4)
    response = client.get(str(carried.nth(1).get_attribute("href")))
    assert response.text.splitlines()[1:] == ["2020-02-01,1250.5", "2020-02-02,"]
    options = {"thousands": ".", "decimal": ",", "missing": [-999], "times": "Tag"}
    carried.first.click()
    expect(cells).to_have_text(["2020-02-01", "1250.5", "2020-02-02", "missing"])
    refused.go_back()
    refused.get_by_role("button", name='Set thousands: "."').click()
    refused.get_by_label("Values that mean missing").fill("-999")
    refused.get_by_label("Columns of the times").fill("Tag")
    refused.get_by_role("button", name="Keep with the file").click()
    expect(refused.locator("#notices")).to_contain_text("rhine.csv")
    expect(carried).to_have_count(0)
    assert client.get("/datafile/rhine.csv").json()["options"] == options
    refused.get_by_role("button", name="Delete").click()
    refused.wait_for_url("**/ui/data")
    assert client.get("/datafile/rhine.csv").status_code == 404


def test_a_job_changes_options_that_are_kept_with_its_file(
    refused: Page, client: httpx.Client
) -> None:
    client.put("/datafile/rhine.csv", content=TABLE)
    kept = {"thousands": ".", "decimal": ",", "missing": [-999]}
    client.post("/datafile/rhine.csv", json={"options": kept})
    refused.route("**/ui/job/*", lambda route: route.fulfill(body="the job"))
    refused.goto("/ui/new?script=summary&datafile=rhine.csv")
    expect(refused.locator("#preview td")).to_have_count(4)
    refused.locator("#options summary").click()
    refused.get_by_label("Values that mean missing").fill('-999.5\nIce\n"7"')
    refused.get_by_label("Decimal mark").select_option("inferred")
    refused.get_by_role("button", name="Save as draft").click()
    refused.wait_for_url("**/ui/job/*")
    [job] = client.get("/jobs", params={"stringify": "false"}).json()["jobs"]
    changed = {"missing": [-999.5, "Ice", "7"], "decimal": None}
    assert job["data"] == {"type": "datafile", "name": "rhine.csv", **changed}


def test_a_pasted_table_becomes_a_data_file(refused: Page, client: httpx.Client) -> None:
    refused.goto("/ui/new?script=summary")
    refused.get_by_role("radio", name="JSON or table").check()
    refused.get_by_role("textbox", name="Data").fill("t\tq\n2020-01-01\t1.5\n2020-01-02\t2.5\n")
    refused.get_by_role("button", name="Store as a data file").click()
    expect(refused.locator("#preview td")).to_have_text(["2020-01-01", "1.5", "2020-01-02", "2.5"])
    name = refused.get_by_role("combobox", name="Data file").input_value()
    assert client.get(f"/datafile/{name}").status_code == 200
    refused.get_by_role("radio", name="JSON or table").check()
    refused.get_by_role("textbox", name="Data").fill('"t";"q"\n2020-01-01;1,5\n2020-01-02;3,5\n')
    refused.get_by_role("button", name="Run", exact=True).click()
    expect(refused.locator("h1 .state")).to_have_text("✓ finished")
    expect(refused.locator("#result-content")).to_contain_text("2.5")


def test_what_is_hostile_in_a_file_is_text_and_is_cut(refused: Page, client: httpx.Client) -> None:
    row = b"1;9007199254740995;<img src=x onerror=alert(1)>" + b"x" * 50_000 + b"\n"
    client.put("/datafile/bad.csv", content=b"b;9;<b>a\n" + row + row)
    client.put("/datafile/bad.json", content=b'["' + b"<b>" * 1_000_000 + b'"]')
    refused.goto("/ui/data/bad.json")
    expect(refused.locator("#preview pre")).to_contain_text("<b><b>")
    assert len(refused.locator("#preview pre").inner_text()) < 10_000
    refused.goto("/ui/data/bad.csv")
    expect(refused.locator("#preview th")).to_have_text(["b", "9", "<b>a"])
    cells = refused.locator("#preview td")
    expect(cells.nth(1)).to_have_text("9007199254740995")
    expect(cells.nth(2)).to_contain_text("<img src=x")
    assert len(cells.nth(2).inner_text()) < 1000


def test_the_numbers_of_a_file_are_plotted_against_its_times(tab: Page) -> None:
    tab.goto("/ui/data/timeseries.csv")
    tab.get_by_role("button", name="Plot the numbers").click()
    expect(tab.locator("#plot canvas")).to_be_visible()
    expect(tab.locator("#plot").get_by_role("checkbox", name="value")).to_be_checked()
    expect(tab.locator("#plot")).to_contain_text("– 2018-05-15 23:00:00")


def test_stored_data_are_shown_and_bound(tab: Page, client: httpx.Client) -> None:
    data = client.put("/data", json={"data": [1, 2.5, "<b>"]}).json()["_id"]
    tab.goto("/ui/data")
    tab.get_by_role("link", name=data, exact=True).click()
    expect(tab.locator("#stored")).to_contain_text("<b>")
    tab.get_by_role("link", name="New job with these data").click()
    expect(tab.get_by_role("combobox", name="Stored data")).to_have_value(data)
    client.delete(f"/data/{data}")


def test_scripts_are_searched_and_described(tab: Page, server: Server) -> None:
    broken, odd = (server.home / "scripts" / name for name in ("broken.py", "odd.py"))
    broken.write_text("import nowhere_at_all\n")
    odd.write_text(
        'def odd(n: int = 5, limit: float = 0.5):\n    """Do <i>odd</i> things.\n\n'
        '    Parameters\n    ----------\n    n\n        How ``often``."""\n'
    )
    try:
        tab.goto("/ui/scripts")
        expect(tab.locator(".broken")).to_contain_text("nowhere_at_all")
        tab.get_by_label("Search the scripts").fill("odd things")
        expect(tab.locator("#scripts li:visible")).to_have_count(1)
        tab.get_by_role("link", name="odd", exact=True).click()
        expect(tab.get_by_text("Do <i>odd</i> things.")).to_be_visible()
        row = tab.get_by_role("row").filter(has_text="often")
        expect(row.locator("th, td")).to_have_text(["n", "integer", "5", "", "the data How often."])
        tab.get_by_role("link", name="New job with this script").click()
        expect(tab.get_by_role("combobox", name="Script to run")).to_have_value("odd")
    finally:
        broken.unlink()
        odd.unlink()


@pytest.mark.parametrize("page", ["data/none.csv", "data/none", "script/none", "data?page=0"])
def test_what_does_not_exist_is_refused_on_a_page(client: httpx.Client, page: str) -> None:
    answer = client.get(f"/ui/{page}", headers={"Accept": "text/html"})
    assert answer.status_code in (400, 404)
    assert "text/html" in answer.headers["Content-Type"]
