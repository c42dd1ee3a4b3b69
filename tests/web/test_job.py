"""The page of one job: how it is followed, what it shows, and what can be done there."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import open_page
from tests.support.members import Members
from tests.support.server import Server
from tests.web.conftest import OpenTab

HTML = {"Accept": "text/html"}
TABLE = b"t,q\n2020-01-01,1.5\n2020-01-02,-999\n2020-01-03,-999\n"
HOSTILE = "<img src=x onerror=alert(1)>"


def created(client: httpx.Client, **fields: Any) -> str:
    return str(client.put("/job", json=fields).json()["_id"])


def finished(client: httpx.Client, name: str, **fields: Any) -> str:
    """The path of the page of a job that has ended; keyword arguments are those of the script."""
    data = {key: fields.pop(key) for key in ("raw_data", "datafile") if key in fields}
    job = created(client, script={"name": name, "kwargs": fields}, **data)
    answer = client.post(f"/job/{job}/run", params={"wait": 30})
    assert answer.status_code == 202, answer.text
    return f"/ui/job/{job}"


def frame(columns: list[Any], data: dict[str, list[Any]]) -> dict[str, Any]:
    """A DataFrame as it is stored."""
    dtypes = {"columns": "object", "index": "int64", "data": ["int64"] * len(columns)}
    names = {"columns": None, "index": None}
    head = {"type": "dataframe", "columns": columns, "index": None}
    return {**head, "data": data, "dtypes": dtypes, "names": names}


@pytest.mark.parametrize(
    "fields",
    [
        *({"script": {"name": "summary", "kwargs": odd}} for odd in ([1], "abc", 1, True)),
        *({"script": {"name": odd, "args": odd}} for odd in ({"a": 1}, [1], 1)),
        *({"script": odd, "data": odd, "datafile": odd} for odd in ([1], 1, {}, {"name": [1]})),
        {"script_name": {"name": "summary", "kwargs": [1]}},
        {"script_name": [1], "timeout": {}, "seed": [], "description": {"a": 1}},
    ],
)
def test_a_job_that_cannot_run_has_a_page(client: httpx.Client, fields: dict[str, Any]) -> None:
    job = created(client, **fields)
    for path in (f"/ui/job/{job}", "/ui/jobs", f"/ui/new?from={job}"):
        assert client.get(path, headers=HTML).status_code == 200


def test_a_job_is_started_followed_and_shown(tab: Page, client: httpx.Client) -> None:
    job = created(client, script={"name": "chatter", "kwargs": {"lines": 40}}, station="Aare")
    tab.goto(f"/ui/job/{job}")
    expect(tab.locator("h1 .state")).to_have_text("○ created")
    expect(tab.locator("#facts")).to_contain_text('"Aare"')
    expect(tab.locator("#log")).to_have_text("Nothing was printed.")
    tab.get_by_role("button", name="Run", exact=True).click()
    expect(tab.locator("h1 .state")).to_have_text("✓ finished")
    printed = client.get(f"/job/{job}/log").text.splitlines()
    expect(tab.locator("#log")).to_contain_text(printed[-1])
    expect(tab.locator("#result-content")).to_have_text("null")
    expect(tab.get_by_role("button", name="Run again")).to_be_visible()
    expect(tab.get_by_role("status").first).to_have_text("finished")


def test_a_running_job_is_cancelled(tab: Page, client: httpx.Client) -> None:
    job = created(client, script_name="hold")
    client.post(f"/job/{job}/run")
    tab.goto(f"/ui/job/{job}")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.locator("h1 .state")).to_have_text("⊘ cancelled")


def test_a_click_before_the_scripts_of_the_page_counts(tab: Page, client: httpx.Client) -> None:
    job = created(client, script_name="hold")
    client.post(f"/job/{job}/run")
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    tab.route("**/job.js", hold)
    tab.goto(f"/ui/job/{job}", wait_until="commit")
    tab.get_by_role("button", name="Cancel").dblclick()
    assert len(waiting) == 1
    waiting[0].continue_()
    expect(tab.locator("h1 .state")).to_have_text("⊘ cancelled")
    expect(tab.locator("#notices")).to_have_text("")


def test_what_is_pressed_is_not_replaced(tab: Page, client: httpx.Client) -> None:
    job = created(client, script={"name": "chatter", "kwargs": {"lines": 40}})
    tab.goto(f"/ui/job/{job}")
    tab.get_by_role("link", name="Change and run").hover()
    tab.mouse.down()
    with tab.expect_response(f"**/ui/job/{job}"):
        client.post(f"/job/{job}/run", params={"wait": 30})
    tab.mouse.up()
    tab.wait_for_url("**/ui/new?**")


def test_a_press_whose_release_is_never_told_stops_no_page(tab: Page, client: httpx.Client) -> None:
    job = created(client, script={"name": "chatter", "kwargs": {"lines": 40}})
    tab.goto(f"/ui/job/{job}")
    tab.mouse.down()
    client.post(f"/job/{job}/run", params={"wait": 30})
    expect(tab.locator("h1 .state")).to_have_text("✓ finished")


@pytest.mark.parametrize("without", ["", "delete Navigator.prototype.clipboard"])
def test_an_id_is_copied_on_plain_http_too(tab: Page, client: httpx.Client, without: str) -> None:
    tab.add_init_script(without)
    job = created(client)
    tab.goto(f"/ui/job/{job}")
    tab.get_by_role("button", name="Copy").first.click()
    expect(tab.locator("#notices")).to_contain_text("Copied.")
    expect(tab.get_by_role("button", name="Copy").first).to_be_focused()
    tab.goto("/ui/jobs")
    tab.get_by_role("searchbox").first.press("Control+v")
    expect(tab.get_by_role("searchbox").first).to_have_value(job)


def test_a_browser_that_does_not_copy_is_told_of(tab: Page, client: httpx.Client) -> None:
    tab.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    tab.goto(f"/ui/job/{created(client)}")
    tab.get_by_role("button", name="Copy").first.click()
    expect(tab.locator("#notices")).to_contain_text("does not let this page copy")


def test_a_failure_is_shown_with_the_end_of_the_log(tab: Page, client: httpx.Client) -> None:
    tab.goto(finished(client, "fail", text=HOSTILE))
    expect(tab.locator(".failure")).to_contain_text(HOSTILE)
    expect(tab.locator("#log")).to_contain_text("Traceback")
    expect(tab.locator("main img")).to_have_count(0)
    expect(tab.locator("#result")).to_be_hidden()


def test_each_kind_of_result_has_its_view(tab: Page, client: httpx.Client) -> None:
    content = tab.locator("#result-content")
    tab.goto(finished(client, "add", a=40))
    expect(content.locator(".single")).to_have_text("42")
    tab.goto(finished(client, "summary", datafile="timeseries.csv"))
    expect(content.locator("tbody tr").first).to_have_text("count12000")
    tab.goto(finished(client, "echo", datafile="timeseries.csv"))
    expect(content).to_contain_text("Rows: 12000, columns: 2.")
    expect(content.locator(".sheet tbody tr")).to_have_count(200)
    tab.goto(finished(client, "echo", raw_data={"a": {"b": HOSTILE}, "c": [{}, 9007199254740993]}))
    expect(content.locator("code").first).to_have_text(json.dumps(HOSTILE))
    expect(content).to_contain_text("9007199254740993")
    expect(content.locator("img")).to_have_count(0)


def test_a_time_series_is_plotted_moved_and_read(tab: Page, client: httpx.Client) -> None:
    rows = [{"date": f"2020-01-0{day} 00:00", "a": day, "b": 0.5} for day in range(1, 6)]
    rows[2] |= {"date": "2020-01-03 12:00", "a": None}
    tab.goto(finished(client, "echo", raw_data=rows))
    part, area = tab.locator(".plot-tools output"), tab.locator(".plot-area")
    expect(part).to_have_text("2020-01-01 00:00:00 – 2020-01-05 00:00:00")
    area.focus()
    area.press("+")
    expect(part).to_have_text("2020-01-01 16:00:00 – 2020-01-04 08:00:00")
    area.press("ArrowRight")
    expect(part).to_have_text("2020-01-02 04:48:00 – 2020-01-04 20:48:00")
    area.press("0")
    expect(part).to_have_text("2020-01-01 00:00:00 – 2020-01-05 00:00:00")
    over = tab.locator(".u-over")
    box = over.bounding_box()
    assert box
    tab.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    expect(tab.locator(".plot-at")).to_contain_text("2020-01-02 00:00:00")
    expect(tab.locator(".plot-legend label").first).to_have_text("a2")
    tab.get_by_label("b", exact=True).uncheck()
    tab.get_by_text("The plot in numbers").click()
    expect(tab.locator(".plot tbody tr").first).to_have_text("a41135")
    tab.get_by_role("button", name="Light or dark").click()


def test_columns_stay_under_their_labels_whatever_these_are(
    tab: Page, client: httpx.Client
) -> None:
    table = frame([10, "5", 5, "b"], {"10": [1], "5": [2], "5 (2)": [3], "b": [4]})
    tab.goto(finished(client, "echo", raw_data=table))
    expect(tab.locator("#result-content tr")).to_have_text(["1055b", "01234"])


def test_days_are_shown_without_a_time_and_no_column_as_a_flat_line(
    browser: Browser, server: Server, client: httpx.Client
) -> None:
    rows = [{"date": f"2020-01-0{day} 00:00:00", "flow": 100.5, "bfi": 0.85} for day in (1, 2)]
    with open_page(browser, server, locale="de-DE") as tab:
        tab.goto(finished(client, "echo", raw_data=rows))
        expect(tab.locator(".plot-tools output")).to_have_text("2020-01-01 – 2020-01-02")
        expect(tab.get_by_label("flow", exact=True)).to_be_checked()
        expect(tab.get_by_label("bfi", exact=True)).not_to_be_checked()
        expect(tab.locator(".sheet tbody tr").first).to_have_text("02020-01-01100,50,85")


def test_warnings_of_the_log_stand_above_the_result(tab: Page, client: httpx.Client) -> None:
    client.put(
        "/datafile/gaps.csv", content=b"t,q\n2020-01-01,1.5\n2020-01-02,-999\n2020-01-03,-999\n"
    )
    tab.goto(finished(client, "summary", datafile="gaps.csv"))
    expect(tab.locator("#warnings li")).to_contain_text(["-999"])
    assert tab.evaluate("document.querySelector('#warnings').nextElementSibling.id") == "result"
    client.delete("/datafile/gaps.csv")


def test_a_page_that_one_comes_back_to_is_as_it_is_now(tab: Page, client: httpx.Client) -> None:
    job = created(client, script_name="noop")
    tab.goto(f"/ui/job/{job}")
    tab.goto("/ui/jobs")
    client.post(f"/job/{job}", json={"description": "changed meanwhile"})
    tab.go_back()
    expect(tab.locator(".description")).to_have_text("changed meanwhile")


def test_a_huge_text_and_a_huge_line_are_cut(tab: Page, client: httpx.Client) -> None:
    tab.goto(finished(client, "text_of", size=10_000_000))
    expect(tab.locator("#result-content")).to_contain_text("The first 100000 characters are shown")
    assert len(tab.locator("#result-content pre").inner_text()) == 100_000
    tab.goto(finished(client, "fail", text="\x1b[31m" + "x" * 500_000))
    expect(tab.locator("#log")).to_contain_text("in this line")
    assert len(tab.locator("main").inner_text()) < 20_000
    assert "\x1b" not in tab.content()


def test_a_job_is_rerun_and_deleted(tab: Page, client: httpx.Client) -> None:
    path = finished(client, "add", a=1)
    tab.goto(path)
    tab.get_by_role("button", name="Run again").click()
    expect(tab.locator("h1 .state")).to_have_text("✓ finished")
    expect(tab.locator("#facts")).to_contain_text(path.removeprefix("/ui/job/"))
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.get_by_role("button", name="Delete").click()
    tab.wait_for_url("**/ui/jobs")
    assert [job["_id"] for job in client.get("/jobs").json()["jobs"]] == [path.rpartition("/")[2]]
    tab.go_back()
    tab.wait_for_url(f"**{path}")


def test_a_result_is_downloaded_in_each_format_it_has(tab: Page, client: httpx.Client) -> None:
    path = finished(client, "echo", datafile="timeseries.csv")
    tab.goto(path)
    links = tab.locator("#downloads a")
    expect(links).to_have_text(["json", "csv", "html", "txt", "xlsx", "parquet"])
    with tab.expect_download() as saved:
        links.nth(1).click()
    assert saved.value.suggested_filename == f"{path.rpartition('/')[2]}.csv"
    assert len(saved.value.path().read_text().splitlines()) == 12_001


@pytest.mark.parametrize("job", ["5b9011469eb82b0d84ca212f", "none", "a b"])
def test_a_job_that_does_not_exist_is_a_page_that_says_so(server: Server, job: str) -> None:
    answer = server.client.get(f"/ui/job/{job}", headers=HTML)
    assert answer.status_code == (400 if " " in job else 404)
    assert "text/html" in answer.headers["Content-Type"]
    assert "GET /" not in answer.text


def test_a_shared_job_shows_others_neither_log_nor_actions(
    open_tab: OpenTab, members: Members
) -> None:
    owner, stranger = members.add(), members.add()
    path = finished(owner.client, "add", a=1)
    bound = finished(owner.client, "echo", raw_data=[1]).removeprefix("/ui/job/")
    owner.client.post(f"/job/{bound}", json={"public": True})
    assert stranger.client.get(path, headers=HTML).status_code == 404
    with open_tab(members, owner) as page:
        page.goto(path)
        page.get_by_label("All users may read it").check()
        expect(page.get_by_label("All users may read it")).to_be_enabled()
        assert owner.client.get(path.removeprefix("/ui")).json()["public"] == "True"
        page.get_by_role("tab", name="Python").click()
        expect(page.get_by_role("tabpanel")).to_contain_text("JOBSERVER_TOKEN")
    with open_tab(members, stranger) as page:
        page.goto(path)
        expect(page.locator(".single")).to_have_text("3")
        expect(page.locator("#log")).to_have_count(0)
        expect(page.locator("main .actions")).to_have_text("Change and run")
        expect(page.get_by_label("All users may read it")).to_have_count(0)
        expect(page.get_by_text("Somebody else's job")).to_be_visible()
        expect(page.get_by_role("tab", name="Python")).to_be_visible()
        page.goto(f"/ui/job/{bound}")
        expect(page.locator("#code")).to_have_count(0)
        page.get_by_role("link", name="Change and run").click()
        expect(page.get_by_role("combobox", name="Script to run")).to_have_value("echo")
        expect(page.get_by_text("somebody else's")).to_be_visible()
        expect(page.get_by_label("Public")).not_to_be_checked()
